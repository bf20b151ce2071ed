using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Removal;

internal static partial class RemovalLog
{
    [LoggerMessage(26010, LogLevel.Warning, "New audit records cannot be compared with erasures at the moment; none is left out")]
    public static partial void LateRecordsUnchecked(this ILogger logger, Exception exception);

    [LoggerMessage(26011, LogLevel.Warning, "The spool could not start new files after an erasure; the old ones are overwritten as others need space")]
    public static partial void SpoolNotRenewed(this ILogger logger, Exception exception);
}

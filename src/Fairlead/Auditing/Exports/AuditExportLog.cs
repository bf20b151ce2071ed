using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Exports;

internal static partial class AuditExportLog
{
    [LoggerMessage(24002, LogLevel.Information, "Wrote {Records} audit record(s) to {File}")]
    public static partial void AuditExported(this ILogger logger, long records, string file);

    [LoggerMessage(24001, LogLevel.Warning, "Audit records could not be exported; retrying in {Delay}. No record is left out")]
    public static partial void AuditExportFailed(this ILogger logger, Exception exception, TimeSpan delay);
}

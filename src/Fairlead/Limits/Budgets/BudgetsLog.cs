using Microsoft.Extensions.Logging;

namespace Fairlead.Limits.Budgets;

internal static partial class BudgetsLog
{
    [LoggerMessage(6101, LogLevel.Warning, "Unused parts of budgets could not be returned to the database ({Error}); retrying")]
    public static partial void LeasesUnavailable(this ILogger logger, string error);

    [LoggerMessage(6102, LogLevel.Information, "Unused parts of budgets are being returned again")]
    public static partial void LeasesAvailable(this ILogger logger);

    [LoggerMessage(6103, LogLevel.Warning,
        "Node {Node} has shown no sign of life for {WriteOffAfter}; what it held of budgets counts as used until its spool is replayed")]
    public static partial void LeaseWrittenOff(this ILogger logger, string node, TimeSpan writeOffAfter);

    [LoggerMessage(6104, LogLevel.Warning,
        "Unused parts of budgets were not returned before the shutdown timeout; they are returned after the next start of this node")]
    public static partial void LeasesKept(this ILogger logger);
}

using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Ledger;

internal static partial class LedgerLog
{
    [LoggerMessage(9101, LogLevel.Warning,
        "Audit records could not be written to the database; they stay in the spool, retrying in {Delay}")]
    public static partial void ShippingFailed(this ILogger logger, Exception exception, TimeSpan delay);

    [LoggerMessage(9102, LogLevel.Information, "Audit records are being written to the database again")]
    public static partial void ShippingResumed(this ILogger logger);

    [LoggerMessage(9103, LogLevel.Error, "Segment {Segment} of node {Node} has an invalid record; the file stays as .kept in the spool")]
    public static partial void RecordUnreadable(this ILogger logger, string node, long segment);

    [LoggerMessage(9104, LogLevel.Warning,
        "Node {Node} stopped without finishing {Calls} call(s); they are recorded as failed and charged by their last checkpoint")]
    public static partial void CallsRecovered(this ILogger logger, string node, int calls);

    [LoggerMessage(9105, LogLevel.Warning, "Old audit records could not be deleted; retrying in an hour")]
    public static partial void RetentionFailed(this ILogger logger, Exception exception);

    [LoggerMessage(9106, LogLevel.Information, "Deleted {Records} audit record(s) that were stored long enough")]
    public static partial void RetentionDeleted(this ILogger logger, long records);

    [LoggerMessage(9107, LogLevel.Warning,
        "The spool's last records were not all written to the database before the shutdown timeout; the next start writes them")]
    public static partial void ShippingLeft(this ILogger logger);
}

using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Chain;

internal static partial class ChainLog
{
    [LoggerMessage(20001, LogLevel.Critical,
        "The database does not contain record {Sequence} of node {Node} as its signed head states: records were deleted or changed, or an "
        + "older copy of the database was restored. The head is kept in {Path}; run 'fairlead audit verify'")]
    public static partial void HeadLost(this ILogger logger, string node, long sequence, string path);

    [LoggerMessage(20002, LogLevel.Error, "The signed head of the audit chain could not be written; the one before stays")]
    public static partial void HeadUnwritable(this ILogger logger, Exception exception);

    [LoggerMessage(20003, LogLevel.Information, "Audit records are signed with key {KeyId}")]
    public static partial void SignerReady(this ILogger logger, string keyId);

    [LoggerMessage(20004, LogLevel.Information, "Converted {Records} audit record(s) of an earlier version into blocks")]
    public static partial void Converted(this ILogger logger, long records);

    [LoggerMessage(20005, LogLevel.Warning, "Audit records of an earlier version could not be converted yet; retrying in {Delay}")]
    public static partial void ConversionFailed(this ILogger logger, Exception exception, TimeSpan delay);

    [LoggerMessage(20006, LogLevel.Error, "A block of audit records of node {Node}, from record {Sequence} on, cannot be read; "
        + "run 'fairlead audit verify'")]
    public static partial void BlockUnreadable(this ILogger logger, string node, long sequence);

    [LoggerMessage(20048, LogLevel.Error, "The signed head of the audit chain of node {Node} cannot be read or kept; it stays as it is, and no "
        + "other is written until it can")]
    public static partial void HeadUncheckable(this ILogger logger, Exception exception, string node);

    [LoggerMessage(20049, LogLevel.Error, "Audit records of node {Node}, from record {Sequence} on, stay although they are to be removed: a statement "
        + "about an earlier removal beside them is not signed with a key of this machine; run 'fairlead audit verify'")]
    public static partial void RemovalUntrusted(this ILogger logger, string node, long sequence);

    [LoggerMessage(20007, LogLevel.Error, "A record of administration could not be written to the spool and is lost")]
    public static partial void AdministrationLost(this ILogger logger, Exception exception);
}

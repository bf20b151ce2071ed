using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing;

internal static partial class AuditingLog
{
    [LoggerMessage(9001, LogLevel.Information, "Spool of node {Node} is open; {Adopted} folder(s) of nodes that are gone were taken over")]
    public static partial void SpoolOpened(this ILogger logger, string node, int adopted);

    [LoggerMessage(9002, LogLevel.Critical, "The spool cannot be written: new calls are refused with store_unavailable until there is room. Free disk space or mend the permissions of the data directory")]
    public static partial void SpoolUnwritable(this ILogger logger, Exception exception);

    [LoggerMessage(9003, LogLevel.Critical, "The record of a finished call could not be written and waits in memory ({Waiting} waiting, {Bytes} bytes); it is lost if the process ends before there is room")]
    public static partial void EndWaits(this ILogger logger, int waiting, long bytes);

    [LoggerMessage(9004, LogLevel.Critical, "The record of generation {GenerationId} is lost: the spool cannot be written and the memory for waiting records is full")]
    public static partial void EndLost(this ILogger logger, string generationId);

    [LoggerMessage(9005, LogLevel.Warning, "The spool can be written again; {Written} waiting record(s) were written")]
    public static partial void SpoolWritable(this ILogger logger, int written);

    [LoggerMessage(9006, LogLevel.Critical, "A flush of the spool to the disk failed; records of the last moments may not survive a power failure")]
    public static partial void FlushFailed(this ILogger logger, Exception exception);
}

using Fairlead.Auditing.Spooling;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing;

internal static partial class AuditingLog
{
    [LoggerMessage(9001, LogLevel.Information, "Spool of node {Node} is open; {Adopted} folder(s) of stopped nodes were taken over")]
    public static partial void SpoolOpened(this ILogger logger, string node, int adopted);

    [LoggerMessage(9002, LogLevel.Critical,
        "The spool cannot be written: new calls are refused with store_unavailable until there is room. "
        + "Free disk space or fix the permissions of the data directory")]
    public static partial void SpoolUnwritable(this ILogger logger, Exception exception);

    [LoggerMessage(9003, LogLevel.Critical,
        "The record of generation {GenerationId} could not be written and waits in memory "
        + "({Waiting} waiting, {Bytes} bytes); it is lost if the process ends before the disk can be written")]
    public static partial void EndWaits(this ILogger logger, string generationId, int waiting, long bytes);

    [LoggerMessage(9004, LogLevel.Critical,
        "The process ends before {Records} record(s) of ended calls could be written to the spool; they are lost")]
    public static partial void EndsLost(this ILogger logger, int records);

    [LoggerMessage(9005, LogLevel.Warning,
        "The spool can be written again; {Written} waiting record(s) were written, {Dropped} record(s) of refused calls had been dropped")]
    public static partial void SpoolWritable(this ILogger logger, int written, long dropped);

    [LoggerMessage(9007, LogLevel.Warning,
        "The record of a refused call was dropped: the spool has no room for more of them. "
        + "Free disk space, or check why the database accepts no records")]
    public static partial void RefusalDropped(this ILogger logger);

    [LoggerMessage(9008, LogLevel.Warning, "{Records} record(s) of refused calls were dropped because the spool had no room")]
    public static partial void RefusalsDropped(this ILogger logger, long records);

    [LoggerMessage(9006, LogLevel.Critical,
        "A flush of the spool to the disk failed; records of the last moments may not survive a power failure")]
    public static partial void FlushFailed(this ILogger logger, Exception exception);

    [LoggerMessage(9009, LogLevel.Warning,
        "The record of generation {GenerationId} is in the spool, but not in the database after ten seconds; its response is sent")]
    public static partial void DatabaseLate(this ILogger logger, string generationId);
}

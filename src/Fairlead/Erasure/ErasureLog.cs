using Microsoft.Extensions.Logging;

namespace Fairlead.Erasure;

internal static partial class ErasureLog
{
    [LoggerMessage(26006, LogLevel.Information, "Erasure {ErasureId} of the calls of a {Kind} was requested by {KeyId}")]
    public static partial void ErasureRequested(this ILogger logger, string erasureId, string kind, string keyId);

    [LoggerMessage(26001, LogLevel.Information, "Erasure {ErasureId} is completed")]
    public static partial void ErasureCompleted(this ILogger logger, string erasureId);

    [LoggerMessage(26002, LogLevel.Error, "Erasure {ErasureId} failed at step '{Step}'; given up: {IsGivenUp}")]
    public static partial void ErasureFailed(this ILogger logger, Exception exception, string erasureId, string step, bool isGivenUp);

    [LoggerMessage(26003, LogLevel.Warning, "Erasures cannot be continued at the moment")]
    public static partial void ErasuresUnavailable(this ILogger logger, Exception exception);

    [LoggerMessage(26004, LogLevel.Warning,
        "Erased rows of {Table} are still in the files of the database until its next vacuum: {Error}")]
    public static partial void TableNotVacuumed(this ILogger logger, string table, string error);

    [LoggerMessage(26005, LogLevel.Warning,
        "The write-ahead log of the database is in use, so erased content stays in it until it is overwritten. The next erasure tries again")]
    public static partial void LogNotTruncated(this ILogger logger);
}

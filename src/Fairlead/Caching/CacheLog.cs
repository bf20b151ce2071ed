using Microsoft.Extensions.Logging;

namespace Fairlead.Caching;

internal static partial class CacheLog
{
    [LoggerMessage(19001, LogLevel.Warning, "Call {RequestId}: the response could not be kept in the cache")]
    public static partial void NotKept(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(19002, LogLevel.Information, "The cache was deleted for {Project} and {Model} by key {KeyId}")]
    public static partial void Deleted(ILogger logger, string project, string model, string keyId);

    [LoggerMessage(19003, LogLevel.Warning,
        "The deletions of the cache cannot be read ({Error}); after a few seconds without them, calls do not use the cache; retrying")]
    public static partial void DeletionsUnavailable(ILogger logger, string error);

    [LoggerMessage(19004, LogLevel.Information, "The deletions of the cache can be read again")]
    public static partial void DeletionsAvailable(ILogger logger);

    [LoggerMessage(19005, LogLevel.Warning,
        "Kept responses could not be removed from Redis ({Error}). No call gets them, and they expire by themselves")]
    public static partial void NotRemoved(ILogger logger, string error);

    [LoggerMessage(19006, LogLevel.Information, "The cache of responses has {MaxBytes} bytes of memory; second level in Redis: {HasRedis}")]
    public static partial void LevelsMade(this ILogger logger, long maxBytes, bool hasRedis);
}

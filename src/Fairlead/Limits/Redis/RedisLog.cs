using Microsoft.Extensions.Logging;

namespace Fairlead.Limits.Redis;

internal static partial class RedisLog
{
    [LoggerMessage(6201, LogLevel.Warning,
        "Rates and concurrency cannot be counted in Redis ({Error}); limits.onStoreFailure applies, with {Nodes} nodes last known; retrying")]
    public static partial void RedisUnavailable(this ILogger logger, string error, int nodes);

    [LoggerMessage(6202, LogLevel.Information, "Rates and concurrency are counted in Redis, together with all nodes ({Nodes} alive)")]
    public static partial void RedisAvailable(this ILogger logger, int nodes);
}

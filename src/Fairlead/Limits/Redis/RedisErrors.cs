using StackExchange.Redis;

namespace Fairlead.Limits.Redis;

/// <summary>Classifies exceptions of Redis.</summary>
internal static class RedisErrors
{
    /// <summary>
    /// Redis cannot be reached, does not respond in time (the wait for it is cancelled then), or cannot do what the scripts need.
    /// </summary>
    public static bool IsUnavailable(Exception exception) =>
        exception is RedisException or RedisCommandException or TimeoutException or ObjectDisposedException or FormatException
            or OperationCanceledException;

    /// <summary>What happened, without addresses, values or credentials, so that it may be logged.</summary>
    public static string Describe(Exception exception) => exception switch
    {
        RedisConnectionException connection => $"Redis cannot be reached, {connection.FailureType}",
        TimeoutException => "Redis did not respond in time",
        // The first word of an error is its code, such as OOM, READONLY, NOAUTH or LOADING.
        RedisServerException server => $"Redis error {server.Message.Split(' ', 2)[0]}",
        var other => other.GetType().Name,
    };
}

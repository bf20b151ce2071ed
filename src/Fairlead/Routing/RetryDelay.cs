
namespace Fairlead.Routing;

/// <summary>The wait before a retry at the same deployment.</summary>
internal static class RetryDelay
{
    /// <summary>
    /// Exponential with full jitter on the upper half, or what the provider asked for. Null when it asks for more than the maximum:
    /// then the next deployment is tried, or the wait is passed on to the client.
    /// </summary>
    /// <param name="retry">Number of the retry, from 1.</param>
    /// <param name="asked">The provider's Retry-After.</param>
    /// <param name="config">Base and maximum delay.</param>
    /// <param name="random">A number in [0, 1).</param>
    public static TimeSpan? Of(int retry, TimeSpan? asked, RetryConfig config, double random)
    {
        if (asked > config.MaxDelay) return null;
        var doubled = config.BaseDelay.TotalMilliseconds * Math.Pow(2, Math.Min(retry - 1, 20));
        var backoff = Math.Min(doubled, config.MaxDelay.TotalMilliseconds) * (0.5 + (0.5 * random));
        // Clients that got the same time would return together, so jitter is added. It never shortens the wait.
        return asked is { } wait ? wait + TimeSpan.FromMilliseconds(Math.Min(backoff * random, 250)) : TimeSpan.FromMilliseconds(backoff);
    }
}

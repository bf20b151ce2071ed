
namespace Fairlead.Routing;

/// <summary>How long to wait before the same deployment is tried again.</summary>
internal static class RetryDelay
{
    /// <summary>
    /// Exponential with full jitter on the upper half, or what the provider asked for. Null when it asks for more than is worth waiting:
    /// then the next deployment is tried, or the wait is passed on to the client.
    /// </summary>
    /// <param name="retry">Number of the retry, from 1.</param>
    /// <param name="asked">The provider's Retry-After.</param>
    /// <param name="config">Base and greatest delay.</param>
    /// <param name="random">A number in [0, 1).</param>
    public static TimeSpan? Of(int retry, TimeSpan? asked, RetryConfig config, double random)
    {
        if (asked > config.MaxDelay) return null;
        var doubled = config.BaseDelay.TotalMilliseconds * Math.Pow(2, Math.Min(retry - 1, 20));
        var backoff = Math.Min(doubled, config.MaxDelay.TotalMilliseconds) * (0.5 + (0.5 * random));
        // Those who were told the same moment would come back together: a little is added, never taken off.
        return asked is { } wait ? wait + TimeSpan.FromMilliseconds(Math.Min(backoff * random, 250)) : TimeSpan.FromMilliseconds(backoff);
    }
}

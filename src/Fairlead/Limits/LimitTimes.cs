using System.Globalization;

namespace Fairlead.Limits;

/// <summary>Formats times of limits. All round up: a client that waits until then does not come too early.</summary>
internal static class LimitTimes
{
    /// <summary>Whole seconds until <paramref name="at"/>; 0 if it has passed or is null.</summary>
    public static long SecondsUntil(DateTimeOffset? at, DateTimeOffset now)
    {
        var left = TicksUntil(at, now);
        return (left + TimeSpan.TicksPerSecond - 1) / TimeSpan.TicksPerSecond;
    }

    /// <summary>A duration as OpenAI writes it: <c>12ms</c> below a second, then <c>1s</c>, <c>6m0s</c>, <c>26h0m3s</c>.</summary>
    public static string Duration(DateTimeOffset? at, DateTimeOffset now)
    {
        var milliseconds = (TicksUntil(at, now) + TimeSpan.TicksPerMillisecond - 1) / TimeSpan.TicksPerMillisecond;
        if (milliseconds is > 0 and < 1000) return string.Create(CultureInfo.InvariantCulture, $"{milliseconds}ms");
        var seconds = SecondsUntil(at, now);
        var (minutes, hours) = (seconds / 60, seconds / 3600);
        return hours > 0 ? string.Create(CultureInfo.InvariantCulture, $"{hours}h{minutes % 60}m{seconds % 60}s")
            : minutes > 0 ? string.Create(CultureInfo.InvariantCulture, $"{minutes}m{seconds % 60}s")
            : string.Create(CultureInfo.InvariantCulture, $"{seconds}s");
    }

    /// <summary>A time as Anthropic writes it: RFC 3339 in UTC with whole seconds. The present if it has passed or is null.</summary>
    public static string Rfc3339(DateTimeOffset? at, DateTimeOffset now)
    {
        var ticks = Math.Max(at?.UtcTicks ?? 0, now.UtcTicks);
        // No rounding beyond the last second that can be written.
        ticks = Math.Min(ticks, DateTimeOffset.MaxValue.UtcTicks - TimeSpan.TicksPerSecond);
        ticks = (ticks + TimeSpan.TicksPerSecond - 1) / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond;
        return new DateTime(ticks, DateTimeKind.Utc).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
    }

    private static long TicksUntil(DateTimeOffset? at, DateTimeOffset now) => at is { } then && then > now ? (then - now).Ticks : 0;
}

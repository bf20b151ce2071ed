namespace Fairlead.Limits;

/// <summary>Timestamps of a <see cref="TimeProvider"/>, which never run backwards, and their conversion. Immutable.</summary>
internal sealed class LimitClock(TimeProvider time)
{
    // Beyond this, a wait is only a number that must not overflow a date.
    private static readonly TimeSpan MaxWait = TimeSpan.FromDays(3650);

    public TimeProvider Time { get; } = time;

    /// <summary>Timestamps in a second.</summary>
    public long PerSecond { get; } = time.TimestampFrequency;

    /// <summary>Timestamps in a minute.</summary>
    public long PerMinute { get; } = time.TimestampFrequency * 60;

    public LimitMoment Now() => new(Time.GetTimestamp(), Time.GetUtcNow());

    /// <summary>A number of timestamps as time, rounded up: after it, that many timestamps have passed.</summary>
    public TimeSpan ToSpan(Int128 timestamps)
    {
        var ticks = ((timestamps * TimeSpan.TicksPerSecond) + PerSecond - 1) / PerSecond;
        return ticks >= MaxWait.Ticks ? MaxWait : new TimeSpan((long)ticks);
    }
}

/// <summary>One moment by both clocks.</summary>
/// <param name="Timestamp">For rates. Never runs backwards.</param>
/// <param name="Utc">For calendar periods. May jump.</param>
internal readonly record struct LimitMoment(long Timestamp, DateTimeOffset Utc);

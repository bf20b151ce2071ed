namespace Fairlead.Tests.Limits;

/// <summary>A clock of which a test moves both parts: time that passes, and a wall clock that may also jump, in both directions.</summary>
internal sealed class LimitTime : TimeProvider
{
    private readonly Lock _gate = new();
    private long _timestamp = 1_000_000;
    private DateTimeOffset _utc = new(2026, 11, 30, 12, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp()
    {
        lock (_gate) return _timestamp;
    }

    public override DateTimeOffset GetUtcNow()
    {
        lock (_gate) return _utc;
    }

    public void Advance(TimeSpan time)
    {
        lock (_gate)
        {
            _timestamp += time.Ticks;
            _utc += time;
        }
    }

    /// <summary>Sets the wall clock; no time passes.</summary>
    public void Jump(TimeSpan by)
    {
        lock (_gate) _utc += by;
    }
}

namespace Fairlead.Benchmarks.Simulation;

/// <summary>A clock that moves only when a simulation moves it, and the events that wait for it. For one thread.</summary>
internal sealed class VirtualTime : TimeProvider
{
    private static readonly DateTimeOffset Start = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    private readonly PriorityQueue<Action, (TimeSpan At, long Number)> _events = new();
    private long _number;

    /// <summary>Time since the start.</summary>
    public TimeSpan Now { get; private set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Now.Ticks;

    public override DateTimeOffset GetUtcNow() => Start + Now;

    /// <summary>Runs an action later. Delays are rounded to milliseconds, so that results do not depend on the last bit of a number.</summary>
    public void After(TimeSpan delay, Action action)
    {
        var rounded = TimeSpan.FromMilliseconds(Math.Max(0, Math.Round(delay.TotalMilliseconds)));
        _events.Enqueue(action, (Now + rounded, ++_number));
    }

    /// <summary>Runs everything that happens until <paramref name="end"/>.</summary>
    public void RunUntil(TimeSpan end)
    {
        while (_events.TryPeek(out var action, out var when) && when.At <= end)
        {
            _events.Dequeue();
            Now = when.At;
            action();
        }
        if (end > Now) Now = end;
    }
}

namespace Fairlead.Routing;

/// <summary>
/// Counts events of the most recent time, and how many of them are marked. The window moves in steps of a tenth, so up to a tenth of it is
/// missing. Thread-safe; adding takes no lock except for the first event of a step.
/// </summary>
/// <remarks>
/// An event that arrives while its step is renewed may be lost. That changes a total of thousands by a few, and never adds one.
/// </remarks>
internal sealed class RollingCounts
{
    private const int Steps = 10;

    private readonly Step[] _steps = new Step[Steps];
    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly long _ticksPerStep;

    /// <param name="window">Above 0.</param>
    /// <param name="time">The clock.</param>
    public RollingCounts(TimeSpan window, TimeProvider time)
    {
        Window = window;
        _time = time;
        _ticksPerStep = Math.Max(1, (long)(window.TotalSeconds * time.TimestampFrequency / Steps));
        for (var i = 0; i < Steps; i++) _steps[i].Number = long.MinValue;
    }

    /// <summary>How far back it counts.</summary>
    public TimeSpan Window { get; }

    /// <summary>Counts an event.</summary>
    public void Add() => Interlocked.Increment(ref Current().All);

    /// <summary>Marks an event that is counted by <see cref="Add"/>, now or before.</summary>
    public void Mark() => Interlocked.Increment(ref Current().Marked);

    /// <summary>The events of the window, and the marked ones among them.</summary>
    public (int All, int Marked) Totals()
    {
        var oldest = Number() - Steps;
        var (all, marked) = (0, 0);
        foreach (ref var step in _steps.AsSpan())
        {
            if (Volatile.Read(ref step.Number) <= oldest) continue;
            all += Volatile.Read(ref step.All);
            marked += Volatile.Read(ref step.Marked);
        }
        return (all, marked);
    }

    private long Number() => _time.GetTimestamp() / _ticksPerStep;

    private ref Step Current()
    {
        var number = Number();
        ref var step = ref _steps[number % Steps];
        if (Volatile.Read(ref step.Number) < number) Renew(ref step, number);
        return ref step;
    }

    private void Renew(ref Step step, long number)
    {
        lock (_gate)
        {
            if (step.Number >= number) return;
            Volatile.Write(ref step.All, 0);
            Volatile.Write(ref step.Marked, 0);
            Volatile.Write(ref step.Number, number);
        }
    }

    private struct Step
    {
        public long Number;
        public int All;
        public int Marked;
    }
}

using Fairlead.Pipeline;

namespace Fairlead.Generations;

/// <summary>
/// The lines of which a job was postponed on this node. Their jobs are not taken from the queue with the others, because all of them would
/// be postponed, one after another. Instead one is taken now and then: when the pause is over, and when a job of the line has moved on. A
/// line of which no job was postponed for a while is forgotten. Thread-safe.
/// </summary>
internal sealed class JobLines(TimeProvider time)
{
    /// <summary>Lines that are remembered. The jobs of others are postponed one by one.</summary>
    internal const int MaxLines = 200;

    /// <summary>Until the next job of a line is tried, if nothing happens.</summary>
    internal static readonly TimeSpan TryEvery = TimeSpan.FromSeconds(1);

    /// <summary>A line is forgotten if none of its jobs was postponed for this long after the pause.</summary>
    internal static readonly TimeSpan ForgetAfter = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly Dictionary<JobLine, State> _lines = [];

    /// <summary>A job was postponed.</summary>
    public void Postponed(JobLine line, Postponement postponement)
    {
        lock (_gate)
        {
            if (_lines.Count >= MaxLines && !_lines.ContainsKey(line)) return;
            var pause = ToTicks(postponement.LinePause);
            var due = time.GetTimestamp() + pause;
            _lines[line] = new State(due, due + ToTicks(ForgetAfter));
        }
    }

    /// <summary>A job of the line got what others wait for, or has ended: the next one may be tried now.</summary>
    public void Moved(JobLine line)
    {
        lock (_gate)
        {
            if (_lines.TryGetValue(line, out var state)) _lines[line] = state with { DueAt = time.GetTimestamp() };
        }
    }

    /// <summary>The lines whose jobs are not taken with the others.</summary>
    public IReadOnlyList<JobLine> Held()
    {
        lock (_gate)
        {
            if (_lines.Count == 0) return [];
            var now = time.GetTimestamp();
            foreach (var (line, state) in _lines)
            {
                if (state.ForgetAt <= now) _lines.Remove(line);
            }
            return [.. _lines.Keys];
        }
    }

    /// <summary>Up to <paramref name="max"/> lines of which one job is tried now, the longest due first.</summary>
    public IReadOnlyList<JobLine> TakeDue(int max)
    {
        lock (_gate)
        {
            if (_lines.Count == 0) return [];
            var now = time.GetTimestamp();
            var waiting = _lines.Where(line => line.Value.DueAt <= now).OrderBy(line => line.Value.DueAt);
            JobLine[] due = [.. waiting.Take(max).Select(line => line.Key)];
            foreach (var line in due) _lines[line] = _lines[line] with { DueAt = now + ToTicks(TryEvery) };
            return due;
        }
    }

    /// <summary>The time until a job of a line is tried; null if there are no lines. Zero or more.</summary>
    public TimeSpan? UntilDue()
    {
        lock (_gate)
        {
            if (_lines.Count == 0) return null;
            var wait = _lines.Values.Min(state => state.DueAt) - time.GetTimestamp();
            return wait <= 0 ? TimeSpan.Zero : time.GetElapsedTime(0, wait);
        }
    }

    private long ToTicks(TimeSpan span) => (long)(span.TotalSeconds * time.TimestampFrequency);

    private readonly record struct State(long DueAt, long ForgetAt);
}

using System.Collections.Frozen;
using Fairlead.Catalogue;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

/// <summary>
/// Prevents lines that callers or an outage can cause again and again from filling the log. A line of level Warning or above appears once
/// per second, and one more line states how often it was left out. Lines are the same when they have the same event, concern the same
/// configured object, such as a provider, and have the same type of exception; requests and generations that they name may differ. Of an
/// Information event, whose lines record one action each, 100 per second appear. Thread-safe.
/// </summary>
internal sealed class RepeatedLines(TimeProvider time) : IDisposable
{
    internal const int MaxActsPerSecond = 100;

    /// <summary>Maximum objects that lines of one event may concern at once; the lines of all others count as one.</summary>
    internal const int MaxThings = 16;

    internal static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    // Names that an operator configures, and values of closed lists. A client can choose none of them freely.
    private static readonly FrozenSet<string> Things =
        FrozenSet.Create(StringComparer.Ordinal, "Provider", "Deployment", "Model", "Node", "Key", "KeyId", "Status", "Error", "Phase");

    private readonly Lock _gate = new();
    private readonly Dictionary<(ILogger Logger, int Event), Dictionary<string, Entry>> _entries = [];
    private ITimer? _timer;
    private bool _disposed;

    /// <summary>Whether the line appears. One that does not is counted.</summary>
    public bool TryTake<TState>(ILogger logger, LogLevel level, EventId eventId, TState state, Exception? exception)
    {
        if (level < LogLevel.Information) return true;
        var values = state as IReadOnlyList<KeyValuePair<string, object?>>;
        var template = values is { Count: > 0 } ? values[^1].Value as string : null;
        var thing = level > LogLevel.Information ? ThingOf(values ?? [], exception) : "";
        // Lines without an event are distinguished by their text.
        if (eventId.Id == 0) thing = $"{thing}\n{template}";
        lock (_gate)
        {
            if (_disposed) return true;
            if (!_entries.TryGetValue((logger, eventId.Id), out var ofEvent))
                _entries[(logger, eventId.Id)] = ofEvent = new(StringComparer.Ordinal);
            if (!ofEvent.TryGetValue(thing, out var entry))
            {
                if (ofEvent.Count >= MaxThings && !ofEvent.TryGetValue("", out entry)) thing = "";
                if (entry is null) ofEvent[thing] = entry = new Entry(level, eventId, template, time.GetTimestamp());
            }
            _timer ??= time.CreateTimer(static lines => ((RepeatedLines)lines!).Sweep(), this, Period, Timeout.InfiniteTimeSpan);
            if (entry.Shown < (level > LogLevel.Information ? 1 : MaxActsPerSecond))
            {
                entry.Shown++;
                return true;
            }
            entry.LeftOut++;
            return false;
        }
    }

    public void Dispose()
    {
        List<(ILogger, Entry, long)> told;
        lock (_gate)
        {
            _disposed = true;
            _timer?.Dispose();
            told = Take(all: true);
        }
        Tell(told);
    }

    private void Sweep()
    {
        List<(ILogger, Entry, long)> told;
        lock (_gate)
        {
            if (_disposed) return;
            told = Take(all: false);
            _timer!.Dispose();
            _timer = _entries.Count == 0 ? null
                : time.CreateTimer(static lines => ((RepeatedLines)lines!).Sweep(), this, Period, Timeout.InfiniteTimeSpan);
        }
        Tell(told);
    }

    // Called under the lock. Report what was left out, which counts as the line of the next second; forget what was not repeated.
    private List<(ILogger Logger, Entry Entry, long LeftOut)> Take(bool all)
    {
        var now = time.GetTimestamp();
        var told = new List<(ILogger, Entry, long)>();
        foreach (var (key, ofEvent) in _entries)
        {
            foreach (var (thing, entry) in ofEvent)
            {
                if (!all && time.GetElapsedTime(entry.Since, now) < Period) continue;
                if (entry.LeftOut == 0)
                {
                    ofEvent.Remove(thing);
                    continue;
                }
                told.Add((key.Logger, entry, entry.LeftOut));
                (entry.LeftOut, entry.Shown, entry.Since) = (0, 1, now);
            }
            if (ofEvent.Count == 0) _entries.Remove(key);
        }
        return told;
    }

    private static void Tell(List<(ILogger Logger, Entry Entry, long LeftOut)> told)
    {
        foreach (var (logger, entry, leftOut) in told)
            logger.Log(entry.Level, entry.EventId, new RepeatedLine(entry.Template, leftOut), null, static (line, _) => line.ToString());
    }

    // The type of an exception too: one bug must not hide another.
    private static string ThingOf(IReadOnlyList<KeyValuePair<string, object?>> values, Exception? exception)
    {
        var thing = exception?.GetType().FullName ?? "";
        for (var i = 0; i < values.Count; i++)
        {
            if (Things.Contains(values[i].Key)) thing = thing.Length == 0 ? $"{values[i].Value}" : $"{thing}\n{values[i].Value}";
        }
        return thing;
    }

    private sealed class Entry(LogLevel level, EventId eventId, string? template, long since)
    {
        public LogLevel Level { get; } = level;

        public EventId EventId { get; } = eventId;

        public string? Template { get; } = template;

        public long Since { get; set; } = since;

        public int Shown { get; set; }

        public long LeftOut { get; set; }
    }
}

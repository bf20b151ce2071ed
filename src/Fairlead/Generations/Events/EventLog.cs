using System.Diagnostics.CodeAnalysis;
using Fairlead.Conversation;
using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// The ordered events of one generation: one writer and any number of readers, each at its own position. Only for generations that can be
/// read again or that continue without their client; all others are read straight from their source. The log is a window: if it exceeds its
/// maximum, the oldest events leave it, and readers that are too slow get an exception. Thread-safe.
/// </summary>
/// <param name="maxBytes">Maximum size.</param>
/// <param name="shared">Counts all logs together; null to count nothing.</param>
internal sealed class EventLog(long maxBytes = EventLog.DefaultMaxBytes, EventMemory? shared = null)
{
    /// <summary>Enough for the largest responses of today's models (128,000 tokens) and their framing.</summary>
    public const long DefaultMaxBytes = 8 * 1024 * 1024;

    /// <summary>Maximum size of each log while all logs together are too large.</summary>
    private const long ReducedMaxBytes = 64 * 1024;

    private readonly Lock _gate = new();
    private readonly List<Entry> _entries = [];
    private int _firstKept;
    private long _bytes;
    private bool _completed;
    private TaskCompletionSource _changed = NewSignal();

    /// <summary>Events written so far.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _firstKept + _entries.Count;
        }
    }

    public bool IsCompleted
    {
        get
        {
            lock (_gate) return _completed;
        }
    }

    /// <summary>Its size now.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate) return _bytes;
        }
    }

    /// <summary>Its maximum size now: smaller while all logs together are too large.</summary>
    public long CurrentMaxBytes => shared?.IsOver == true ? Math.Min(maxBytes, ReducedMaxBytes) : maxBytes;

    /// <summary>Appends all items of a batch at once. For the writer only.</summary>
    /// <param name="batch">The items.</param>
    /// <param name="keepFrom">Events from this number on stay, also if the log exceeds its maximum.</param>
    public void Append(EventBatch batch, int keepFrom = int.MaxValue)
    {
        if (batch.Items.Count == 0) return;
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (_completed) throw new InvalidOperationException("A completed log takes no more events.");
            var before = _bytes;
            foreach (var item in batch.Items)
            {
                var entry = item.Event is { } made
                    ? new Entry(made, null, 0, default)
                    : new Entry(null, batch.DataOf(item).ToArray(), item.Kind, item.Traits);
                _entries.Add(entry);
                _bytes += entry.Size;
            }
            Trim(CurrentMaxBytes, keepFrom);
            shared?.Add(_bytes - before);
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>No more events come. Idempotent.</summary>
    public void Complete()
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (_completed) return;
            _completed = true;
            // Its readers finish soon.
            shared?.Add(-_bytes);
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>A new reader that begins with event number <paramref name="from"/> (0 is the first).</summary>
    public IEventSource Read(int from = 0) => new Reader(this, from);

    private void Trim(long max, int keepFrom)
    {
        var count = 0;
        var removable = Math.Min(_entries.Count - 1, keepFrom - _firstKept);
        while (_bytes > max && count < removable) _bytes -= _entries[count++].Size;
        if (count == 0) return;
        _entries.RemoveRange(0, count);
        _firstKept += count;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private TaskCompletionSource Renew()
    {
        var old = _changed;
        _changed = NewSignal();
        return old;
    }

    private bool TryCopy(EventBatch batch, ref int position, [NotNullWhen(false)] out Task? changed)
    {
        lock (_gate)
        {
            if (position < _firstKept) throw new EventsNoLongerKeptException(position, _firstKept);
            var index = position - _firstKept;
            if (index < _entries.Count)
            {
                for (; index < _entries.Count; index++, position++)
                {
                    var entry = _entries[index];
                    if (entry.Event is { } e) batch.Add(e);
                    else batch.AddNative(entry.Native, entry.Kind, entry.Traits);
                }
                changed = null;
                return true;
            }
            changed = _completed ? Task.CompletedTask : _changed.Task;
            return false;
        }
    }

    /// <summary>Approximate size of an event in memory.</summary>
    public static long SizeOf(GenerationEvent made) => 64 + made switch
    {
        TextDelta text => text.Text.Length * 2L,
        ReasoningDelta reasoning => reasoning.Text.Length * 2L,
        ToolCallDelta call => call.Arguments.Length * 2L,
        NativeEvent native => native.Data.Length,
        _ => 64,
    };

    private readonly record struct Entry(GenerationEvent? Event, byte[]? Native, int Kind, NativeEventTraits Traits)
    {
        public long Size => Native is not null ? 64 + Native.Length : SizeOf(Event!);
    }

    private sealed class Reader(EventLog log, int position) : IEventSource
    {
        private int _position = position;

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            batch.Clear();
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (log.TryCopy(batch, ref _position, out var changed)) return true;
                if (log.IsCompleted && _position >= log.Count) return false;
                await changed.WaitAsync(cancellationToken);
            }
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}

/// <summary>A reader asked for events that are no longer in the log.</summary>
internal sealed class EventsNoLongerKeptException(int asked, int firstKept)
    : Exception($"Event {asked} is no longer in the log. Its first event is {firstKept}.");

using System.Buffers;
using Fairlead.Memory;

namespace Fairlead.Delivery;

/// <summary>
/// The bytes of one stream as its first client gets them: one writer, any number of readers from any place. Bounded: a stream that outgrows it goes
/// on, but can no longer be joined or replayed. Thread-safe.
/// </summary>
/// <param name="maxBytes">The most that it holds.</param>
/// <param name="memory">Counts what it holds; used up, the log counts as outgrown. Null for nothing.</param>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Reliability", "CA1001", Justification = "The lease is given back when the log is complete and read; there is no other owner who could dispose of it.")]
internal sealed class ReplayLog(int maxBytes = ReplayLog.DefaultMaxBytes, MemoryBudget? memory = null)
{
    /// <summary>Well above the longest answers of today's models (128,000 tokens) with a chunk for every token.</summary>
    public const int DefaultMaxBytes = 32 * 1024 * 1024;

    /// <summary>What a reader gets at once: a slow one holds no more beside the log.</summary>
    private const int MaxPiece = 64 * 1024;

    private readonly Lock _gate = new();
    private ArrayBufferWriter<byte> _bytes = new();
    private readonly MemoryLease _lease = new(memory);
    private int _readers;
    private TaskCompletionSource _changed = NewSignal();

    /// <summary>No more bytes come.</summary>
    public bool IsCompleted { get; private set; }

    /// <summary>Whether the stream ends by an aborted connection.</summary>
    public bool Broken { get; private set; }

    /// <summary>Whether it was too long to be kept.</summary>
    public bool Overflowed { get; private set; }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (IsCompleted || Overflowed) return;
            // Twice, for the growing of the array.
            if (_bytes.WrittenCount + bytes.Length > maxBytes || !_lease.TryTake(2L * bytes.Length))
            {
                Overflowed = true;
                _bytes = new ArrayBufferWriter<byte>();
                LetGo();
            }
            else
            {
                _bytes.Write(bytes);
            }
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>Waits until there is something to read, but not longer than <paramref name="patience"/>. False when it ended with nothing.</summary>
    public async Task<bool> BeginsWithinAsync(TimeSpan patience, TimeProvider time, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (_bytes.WrittenCount > 0 || Overflowed) return true;
                if (IsCompleted) return false;
                changed = _changed.Task;
            }
            var left = patience - time.GetElapsedTime(started);
            if (left <= TimeSpan.Zero) return true;
            try
            {
                await changed.WaitAsync(left, time, cancellationToken);
            }
            catch (TimeoutException)
            {
                return true;
            }
        }
    }

    /// <summary>Ends it; the first end stands.</summary>
    public void Complete(bool broken)
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (IsCompleted) return;
            IsCompleted = true;
            Broken = broken;
            LetGo();
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>A reader that may still read when the log is complete; it counts until it is disposed of.</summary>
    public IDisposable Join()
    {
        lock (_gate) _readers++;
        return new Reader(this);
    }

    private void Leave()
    {
        lock (_gate)
        {
            _readers--;
            LetGo();
        }
    }

    // Nobody holds it any more but who is about to.
    private void LetGo()
    {
        if (Overflowed || (IsCompleted && _readers == 0)) _lease.Dispose();
    }

    private sealed class Reader(ReplayLog log) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0) log.Leave();
        }
    }

    public byte[] ToArray()
    {
        lock (_gate) return _bytes.WrittenSpan.ToArray();
    }

    /// <summary>Where the event behind the one with <c>id:</c> <paramref name="lastEventId"/> begins; 0 when it has no such event.</summary>
    public int PositionAfter(string lastEventId)
    {
        lock (_gate) return PositionAfter(_bytes.WrittenSpan, lastEventId);
    }

    /// <summary>A piece of what stands behind <paramref name="position"/>, or null with a task that ends when there is more to know. Empty at the end.</summary>
    public byte[]? Read(int position, out Task changed)
    {
        lock (_gate)
        {
            changed = _changed.Task;
            if (Overflowed) return [];
            if (position < _bytes.WrittenCount) return _bytes.WrittenSpan.Slice(position, Math.Min(MaxPiece, _bytes.WrittenCount - position)).ToArray();
            return IsCompleted ? [] : null;
        }
    }

    /// <summary>
    /// Where the event behind the one with <c>id:</c> <paramref name="lastEventId"/> begins; 0 when there is no such event, so that nothing is left out.
    /// </summary>
    public static int PositionAfter(ReadOnlySpan<byte> bytes, string lastEventId)
    {
        if (lastEventId.Length is 0 or > 20 || !lastEventId.All(char.IsAsciiDigit)) return 0;
        var line = System.Text.Encoding.ASCII.GetBytes($"id: {lastEventId}\n");
        var from = 0;
        while (from < bytes.Length)
        {
            var at = bytes[from..].IndexOf(line);
            if (at < 0) return 0;
            at += from;
            // At the beginning of a line only: the same letters may stand in a text.
            if (at == 0 || bytes[at - 1] == (byte)'\n')
            {
                var end = bytes[at..].IndexOf("\n\n"u8);
                return end < 0 ? 0 : at + end + 2;
            }
            from = at + 1;
        }
        return 0;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private TaskCompletionSource Renew()
    {
        var old = _changed;
        _changed = NewSignal();
        return old;
    }
}

using System.Buffers;
using Fairlead.Memory;

namespace Fairlead.Delivery;

/// <summary>
/// The bytes of one stream as its first client gets them: one writer, any number of readers from any position. A stream that is larger
/// than the log continues, but can no longer be joined or replayed. Thread-safe.
/// </summary>
/// <param name="maxBytes">Maximum size of the log.</param>
/// <param name="memory">Counts the bytes; when it is used up, the log overflows. Null to count nothing.</param>
[System.Diagnostics.CodeAnalysis.SuppressMessage(
    "Reliability", "CA1001", Justification = "The lease is returned when the log is complete and read; no other owner could dispose it.")]
internal sealed class ReplayLog(int maxBytes = ReplayLog.DefaultMaxBytes, MemoryBudget? memory = null)
{
    /// <summary>Well above the longest responses of today's models (128,000 tokens) with a chunk for every token.</summary>
    public const int DefaultMaxBytes = 32 * 1024 * 1024;

    /// <summary>Maximum that a reader gets at once, so that a slow one holds no more than this beside the log.</summary>
    private const int MaxPiece = 64 * 1024;

    private readonly Lock _gate = new();
    private ArrayBufferWriter<byte> _bytes = new();
    private readonly MemoryLease _lease = new(memory);
    private int _readers;
    private TaskCompletionSource _changed = NewSignal();

    /// <summary>Whether no more bytes follow.</summary>
    public bool IsCompleted { get; private set; }

    /// <summary>Whether the stream ends by an aborted connection.</summary>
    public bool Broken { get; private set; }

    /// <summary>Whether the stream was too long for the log.</summary>
    public bool Overflowed { get; private set; }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (IsCompleted || Overflowed) return;
            // Twice: while the array grows, the old one exists too.
            if (_bytes.WrittenCount + bytes.Length > maxBytes || !_lease.TryTake(2L * bytes.Length))
            {
                Overflowed = true;
                _bytes = new ArrayBufferWriter<byte>();
                ReturnMemory();
            }
            else
            {
                _bytes.Write(bytes);
            }
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>Waits until there is something to read, but not longer than <paramref name="timeout"/>.</summary>
    /// <returns>False if the stream ended without any bytes.</returns>
    public async Task<bool> StartsWithinAsync(TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
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
            var left = timeout - time.GetElapsedTime(started);
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

    /// <summary>Ends the log. Only the first call counts.</summary>
    public void Complete(bool broken)
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (IsCompleted) return;
            IsCompleted = true;
            Broken = broken;
            ReturnMemory();
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>Keeps the log in memory for a reader until the result is disposed, also when it is complete.</summary>
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
            ReturnMemory();
        }
    }

    // After the last reader, the bytes are not needed.
    private void ReturnMemory()
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

    /// <summary>Where the event after the one with <c>id:</c> <paramref name="lastEventId"/> starts; 0 if there is no such event.</summary>
    public int PositionAfter(string lastEventId)
    {
        lock (_gate) return PositionAfter(_bytes.WrittenSpan, lastEventId);
    }

    /// <summary>
    /// The next bytes after <paramref name="position"/>; empty at the end; null if there are none yet. Then <paramref name="changed"/>
    /// completes at the next change.
    /// </summary>
    public byte[]? Read(int position, out Task changed)
    {
        lock (_gate)
        {
            changed = _changed.Task;
            if (Overflowed) return [];
            var left = _bytes.WrittenCount - position;
            if (left > 0) return _bytes.WrittenSpan.Slice(position, Math.Min(MaxPiece, left)).ToArray();
            return IsCompleted ? [] : null;
        }
    }

    /// <summary>
    /// Where the event after the one with <c>id:</c> <paramref name="lastEventId"/> starts; 0 if there is no such event, so that nothing is
    /// left out.
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
            // Only at the start of a line: a text may contain the same characters.
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

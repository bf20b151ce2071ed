using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// Events between one writer and one reader that may be slower. Events leave the queue when they are read. It has a maximum and counts in
/// the memory budget: an append is refused if there is no room, so that no event is lost. Thread-safe.
/// </summary>
/// <param name="maxBytes">Maximum size.</param>
/// <param name="budget">The memory budget of the process; null to count nothing.</param>
internal sealed class EventQueue(long maxBytes = EventLog.DefaultMaxBytes, MemoryBudget? budget = null) : IEventSource
{
    private readonly Lock _gate = new();
    private readonly MemoryLease _lease = new(budget);
    private readonly EventBatch _waiting = new();
    private TaskCompletionSource _changed = NewSignal();
    private bool _isAbandoned;

    public bool IsCompleted { get; private set; }

    /// <summary>
    /// Appends all of <paramref name="batch"/>, or nothing: false if there is no room for it. An empty queue always has room.
    /// </summary>
    public bool TryAppend(EventBatch batch)
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (_isAbandoned || batch.Items.Count == 0) return true;
            var size = batch.Size;
            if (_waiting.Items.Count == 0) _lease.Take(size);
            else if (_waiting.Size + size > maxBytes || !_lease.TryTake(size)) return false;
            _waiting.Append(batch);
            changed = Renew();
        }
        changed.TrySetResult();
        return true;
    }

    /// <summary>Returns when all events have been read, or the reader has left.</summary>
    public async Task DrainedAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (_isAbandoned || _waiting.Items.Count == 0) return;
                changed = _changed.Task;
            }
            await changed.WaitAsync(cancellationToken);
        }
    }

    /// <summary>No more events come. Those in the queue can still be read.</summary>
    public void Complete()
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            IsCompleted = true;
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>The reader has left: events in the queue, and those that still come, are dropped.</summary>
    public void Abandon()
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            _isAbandoned = true;
            _waiting.Clear();
            _lease.Dispose();
            changed = Renew();
        }
        changed.TrySetResult();
    }

    /// <summary>Reads what is in the queue; false if it is empty.</summary>
    public bool TryRead(EventBatch batch)
    {
        batch.Clear();
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (_waiting.Items.Count == 0) return false;
            batch.SwapWith(_waiting);
            _lease.Return(_lease.Held);
            changed = Renew();
        }
        changed.TrySetResult();
        return true;
    }

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Task changed;
            lock (_gate)
            {
                changed = _changed.Task;
                if (_waiting.Items.Count == 0 && (IsCompleted || _isAbandoned))
                {
                    batch.Clear();
                    return false;
                }
            }
            if (TryRead(batch)) return true;
            await changed.WaitAsync(cancellationToken);
        }
    }

    public ValueTask DisposeAsync()
    {
        Abandon();
        return ValueTask.CompletedTask;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private TaskCompletionSource Renew()
    {
        var old = _changed;
        _changed = NewSignal();
        return old;
    }
}

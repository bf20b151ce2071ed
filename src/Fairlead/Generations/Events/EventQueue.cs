using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// Events between one writer and one reader that may be slower. What was read is let go. Bounded, and counted in the memory budget: the writer learns when there is no room,
/// so that nothing is ever left out. Thread-safe.
/// </summary>
/// <param name="maxBytes">The most that waits.</param>
/// <param name="budget">The process's budget; null where nothing is counted.</param>
internal sealed class EventQueue(long maxBytes = EventLog.DefaultMaxBytes, MemoryBudget? budget = null) : IEventSource
{
    private readonly Lock _gate = new();
    private readonly MemoryLease _lease = new(budget);
    private readonly EventBatch _waiting = new();
    private TaskCompletionSource _changed = NewSignal();
    private bool _isAbandoned;

    public bool IsCompleted { get; private set; }

    /// <summary>Appends all of <paramref name="batch"/>, or nothing: false while what waits leaves no room for it. Alone it always fits.</summary>
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

    /// <summary>Returns when all that waits has been read, or nobody reads any more.</summary>
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

    /// <summary>No more events come. What waits can still be read.</summary>
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

    /// <summary>Nobody reads any more: what waits and what comes is let go.</summary>
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

    /// <summary>What waits at this moment; false when nothing does.</summary>
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

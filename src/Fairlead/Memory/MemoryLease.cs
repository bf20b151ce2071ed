namespace Fairlead.Memory;

/// <summary>
/// The memory that one holder has taken from the budget. Returned by <see cref="Dispose"/>, once; after that it takes no more. Thread-safe.
/// </summary>
/// <param name="budget">The process's budget; null where nothing is counted.</param>
internal sealed class MemoryLease(MemoryBudget? budget) : IDisposable
{
    private readonly Lock _gate = new();
    private long _held;
    private bool _isClosed;

    public long Held
    {
        get
        {
            lock (_gate) return _held;
        }
    }

    /// <summary>False when <paramref name="bytes"/> do not fit into the budget.</summary>
    public bool TryTake(long bytes)
    {
        if (budget is null) return true;
        lock (_gate)
        {
            if (_isClosed) return true;
            if (!budget.TryTake(bytes, _held + bytes)) return false;
            _held += bytes;
            return true;
        }
    }

    /// <summary>Takes <paramref name="bytes"/> for what is about to be read.</summary>
    /// <exception cref="MemoryExhaustedException">They do not fit into the budget.</exception>
    public void Count(long bytes)
    {
        if (!TryTake(bytes)) throw new MemoryExhaustedException(MemoryBudget.Overloaded);
    }

    /// <summary>Takes them even if they do not fit.</summary>
    public void Take(long bytes)
    {
        if (budget is null) return;
        lock (_gate)
        {
            if (_isClosed) return;
            budget.Take(bytes);
            _held += bytes;
        }
    }

    /// <summary>Returns a part.</summary>
    public void Return(long bytes)
    {
        if (budget is null) return;
        lock (_gate)
        {
            bytes = Math.Min(bytes, _held);
            _held -= bytes;
            budget.Return(bytes);
        }
    }

    public void Dispose()
    {
        if (budget is null) return;
        lock (_gate)
        {
            _isClosed = true;
            budget.Return(_held);
            _held = 0;
        }
    }
}

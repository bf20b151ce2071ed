using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>Requests to other nodes to return what they do not use, and their responses. Thread-safe.</summary>
internal sealed class BudgetAsks : IDisposable
{
    private readonly IStorage _storage;
    private readonly BudgetHolder _holder;
    private readonly Lock _gate = new();
    private readonly List<BudgetAsk> _open = [];
    private readonly IDisposable _subscription;

    public BudgetAsks(IStorage storage, BudgetHolder holder)
    {
        _storage = storage;
        _holder = holder;
        _subscription = storage.Notifier.Subscribe(BudgetNotices.Returned, Receive);
    }

    /// <summary>Collects responses about these budgets until the result is disposed.</summary>
    public BudgetAsk Open(IEnumerable<BudgetKey> keys)
    {
        var ask = new BudgetAsk([.. keys], Close);
        lock (_gate) _open.Add(ask);
        return ask;
    }

    /// <summary>Asks about these budgets. A notice may be lost, so a request is repeated while it waits.</summary>
    public void Send(BudgetAsk ask, IEnumerable<BudgetKey> keys)
    {
        foreach (var key in keys)
        {
            ask.MarkAsked(key);
            _storage.Notifier.Announce(BudgetNotices.Ask, BudgetNotices.Write(_holder, key));
        }
    }

    public void Dispose() => _subscription.Dispose();

    private void Receive(string? subject)
    {
        if (!BudgetNotices.TryRead(subject, out var sender, out var key)) return;
        lock (_gate)
        {
            foreach (var ask in _open) ask.Receive(sender, key.Value);
        }
    }

    private void Close(BudgetAsk ask)
    {
        lock (_gate) _open.Remove(ask);
    }
}

/// <summary>One request for budgets that waits for other nodes. Thread-safe.</summary>
internal sealed class BudgetAsk(HashSet<BudgetKey> keys, Action<BudgetAsk> close) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly HashSet<(string Sender, BudgetKey Key)> _responses = [];
    private readonly HashSet<BudgetKey> _asked = [];
    private TaskCompletionSource _changed = NewSource();

    /// <summary>Completes with the next response.</summary>
    public Task Changed
    {
        get
        {
            lock (_gate)
            {
                if (_changed.Task.IsCompleted) _changed = NewSource();
                return _changed.Task;
            }
        }
    }

    public void MarkAsked(BudgetKey key)
    {
        lock (_gate) _asked.Add(key);
    }

    public bool HasResponse(BudgetHolder holder, BudgetKey key)
    {
        lock (_gate) return _responses.Contains((holder.ToString(), key));
    }

    public void Receive(string sender, BudgetKey key)
    {
        if (!keys.Contains(key)) return;
        lock (_gate)
        {
            // A notice that answers another node's request helps too, but says nothing about ours.
            if (_asked.Contains(key)) _responses.Add((sender, key));
            _changed.TrySetResult();
        }
    }

    public void Dispose() => close(this);

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

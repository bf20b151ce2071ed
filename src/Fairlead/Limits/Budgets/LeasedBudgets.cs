using System.Collections.Concurrent;
using System.Collections.Immutable;
using Fairlead.Auditing.Ledger;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// The budgets of which this process has a lease or has asked for one, so that calls without budgets cost the ledger nothing. A budget is
/// here before its row is in the database. Thread-safe.
/// </summary>
internal sealed class LeasedBudgets
{
    private readonly ConcurrentDictionary<BudgetKey, LeasedBudget> _budgets = new();
    private readonly ConcurrentDictionary<Owner, ImmutableArray<BudgetKey>> _byOwner = new();

    public bool IsEmpty => _budgets.IsEmpty;

    public LeasedBudget Enter(BudgetKey key)
    {
        if (_budgets.TryGetValue(key, out var known)) return known;
        _byOwner.AddOrUpdate(
            new Owner(key.Scope, key.ScopeId, key.Model, key.Class),
            static (_, added) => [added],
            static (_, others, added) => others.Contains(added) ? others : others.Add(added),
            key);
        return _budgets.GetOrAdd(key, static _ => new LeasedBudget());
    }

    public bool Contains(BudgetKey key) => _budgets.ContainsKey(key);

    public LeasedBudget? Find(BudgetKey key) => _budgets.GetValueOrDefault(key);

    /// <summary>The budgets and what this process knows of them, at about this moment.</summary>
    public IEnumerable<KeyValuePair<BudgetKey, LeasedBudget>> All => _budgets;

    public void Remove(BudgetKey key)
    {
        _budgets.TryRemove(key, out _);
        var owner = new Owner(key.Scope, key.ScopeId, key.Model, key.Class);
        while (_byOwner.TryGetValue(owner, out var keys))
        {
            var rest = keys.Remove(key);
            if (rest.IsEmpty ? _byOwner.TryRemove(new(owner, keys)) : _byOwner.TryUpdate(owner, rest, keys)) return;
        }
    }

    /// <summary>Adds to <paramref name="found"/> the budgets that count this usage.</summary>
    public void Find(in SettledUsage usage, List<BudgetKey> found)
    {
        Find(LimitScope.Organization, usage.OrganizationId, null, usage, found);
        Find(LimitScope.Project, usage.ProjectId, null, usage, found);
        Find(LimitScope.Key, usage.KeyId, null, usage, found);
        Find(LimitScope.Model, usage.OrganizationId, usage.Model, usage, found);
    }

    private void Find(LimitScope scope, string id, string? model, in SettledUsage usage, List<BudgetKey> found)
    {
        Find(new Owner(scope, id, model, null), usage, found);
        Find(new Owner(scope, id, model, usage.Class), usage, found);
    }

    private void Find(Owner owner, in SettledUsage usage, List<BudgetKey> found)
    {
        if (!_byOwner.TryGetValue(owner, out var keys)) return;
        foreach (var key in keys)
        {
            if (key.Contains(usage.Hour)) found.Add(key);
        }
    }

    private readonly record struct Owner(LimitScope Scope, string Id, string? Model, string? Class);
}

/// <summary>What this process knows of one budget. Properties change while the budget's turn is held; the methods are thread-safe.</summary>
internal sealed class LeasedBudget
{
    private long _unpaid;

    /// <summary>Usage that no slice pays for, of calls that the ledger may not have yet.</summary>
    public long Unpaid => Volatile.Read(ref _unpaid);

    /// <summary>Whether all calls that ended before the first lease are in the ledger.</summary>
    public bool IsShipped { get; set; }

    /// <summary>Number of the last grant that was reported to the caller.</summary>
    public long ConfirmedGrant { get; set; }

    /// <summary>Whether the database may have a grant that was not reported.</summary>
    public bool IsUncertain { get; set; }

    /// <summary>What the database was told that calls have taken of the lease; null for nothing. Only for the keeper.</summary>
    public long? Reported { get; set; }

    public void AddUnpaid(long amount)
    {
        for (var seen = Unpaid; ;)
        {
            var before = Interlocked.CompareExchange(ref _unpaid, Conversation.Money.Add(seen, amount), seen);
            if (before == seen) return;
            seen = before;
        }
    }

    /// <summary>Takes up to <paramref name="max"/> of the unpaid usage.</summary>
    public long TakeUnpaid(long max)
    {
        for (var seen = Unpaid; ;)
        {
            var taken = Math.Min(seen, max);
            var before = Interlocked.CompareExchange(ref _unpaid, seen - taken, seen);
            if (before == seen) return taken;
            seen = before;
        }
    }
}

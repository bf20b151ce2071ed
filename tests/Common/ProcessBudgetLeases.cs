using System.Collections.Concurrent;

using Fairlead.Limits;

namespace Fairlead.Tests.Common;

/// <summary>
/// Budgets of one process without a database: what other processes use is not known, and a restart forgets what was used. Thread-safe.
/// </summary>
internal sealed class ProcessBudgetLeases(TimeProvider time) : IBudgetLeases
{
    private static readonly TimeSpan Kept = TimeSpan.FromDays(100);

    private readonly Lock _gate = new();
    private readonly Dictionary<BudgetKey, long> _granted = [];
    private readonly Dictionary<BudgetKey, long> _unpaid = [];
    private DateTimeOffset _sweptAt = time.GetUtcNow();

    public Task<BudgetGrant[]> AcquireAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken)
    {
        var grants = new BudgetGrant[needs.Count];
        lock (_gate)
        {
            Sweep();
            for (var i = 0; i < grants.Length; i++)
            {
                var need = needs[i];
                var granted = _granted.GetValueOrDefault(need.Key);
                var unpaid = _unpaid.GetValueOrDefault(need.Key);
                var rest = need.Limit - granted - unpaid;
                var amount = rest < need.Minimum ? 0 : Math.Min(rest, need.Wanted);
                _granted[need.Key] = granted + amount;
                grants[i] = new BudgetGrant(amount, unpaid, 0);
            }
        }
        return Task.FromResult(grants);
    }

    public void Return(IReadOnlyList<(BudgetKey Key, long Amount)> unused)
    {
        lock (_gate)
        {
            foreach (var (key, amount) in unused) _granted[key] = _granted.GetValueOrDefault(key) - amount;
        }
    }

    public void AddUnpaid(BudgetKey key, long amount)
    {
        lock (_gate) _unpaid[key] = _unpaid.GetValueOrDefault(key) + amount;
    }

    private void Sweep()
    {
        var now = time.GetUtcNow();
        if (now - _sweptAt < TimeSpan.FromDays(1)) return;
        _sweptAt = now;
        foreach (var key in _granted.Keys.Where(key => now - key.PeriodStart > Kept).ToArray()) _granted.Remove(key);
    }
}

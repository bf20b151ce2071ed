using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>The slices of budgets that this process has for one organization: what is free of them, used and held. Thread-safe.</summary>
internal sealed class OrganizationSlices(OrganizationAccounts accounts, LimitGroups groups, HeldAmountsTable held)
{
    /// <summary>What the slices have left for one more call; null for no budget of that kind.</summary>
    public (long? Tokens, long? Pico) Available(TokenReservation reservation, AppliedLimits limits)
    {
        long? tokens = null, pico = null;
        lock (accounts.Gate)
        {
            foreach (var budget in limits.Budgets)
            {
                var free = Math.Max(0, budget.FreeOf(budget.At(reservation.AcceptedAt)));
                if (budget.Name.IsMoney()) pico = Math.Min(pico ?? free, free);
                else tokens = Math.Min(tokens ?? free, free);
            }
        }
        return (tokens, pico);
    }

    /// <summary>Asks for what <paramref name="needs"/> lack, unless the database said a moment ago that it does not have it.</summary>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    public ValueTask<SliceRequest> AcquireAsync(in SliceNeeds needs, IBudgetLeases leases, CancellationToken cancellationToken) =>
        BudgetRequests.AcquireAsync(accounts.Gate, accounts.Clock, needs, leases, cancellationToken);

    /// <summary>What this process has spent of a budget since its start, and what its calls have reserved.</summary>
    public (long Spent, long Held) UseOf(BudgetKey key)
    {
        lock (accounts.Gate) return PeriodOf(key) is { } period ? (period.Spent, period.Held) : default;
    }

    /// <summary>Takes what a budget does not use out of its slice.</summary>
    public long TakeUnused(BudgetKey key)
    {
        lock (accounts.Gate) return PeriodOf(key)?.TakeFree() ?? 0;
    }

    /// <summary>Takes what was not used for <paramref name="idle"/>, and what is left of ended periods.</summary>
    public void TakeIdle(TimeSpan idle, List<(BudgetKey Key, long Amount)> unused)
    {
        var now = accounts.Clock.Now();
        lock (accounts.Gate)
        {
            unused.AddRange(groups.TakeChanged());
            foreach (var budget in groups.Budgets)
            {
                budget.TakeEnded(now.Utc, unused);
                if (budget.Find(now.Utc) is { } period && accounts.Clock.ToSpan(now.Timestamp - period.UsedAt) >= idle
                    && period.TakeFree() is > 0 and var amount)
                {
                    unused.Add((budget.KeyOf(period), amount));
                }
            }
        }
    }

    /// <summary>Slices of budgets whose limit has changed, to be returned.</summary>
    public IReadOnlyList<(BudgetKey Key, long Amount)> TakeChanged()
    {
        lock (accounts.Gate) return groups.TakeChanged();
    }

    /// <summary>Adds to <paramref name="found"/> what calls hold of budgets of money.</summary>
    public void ReadHeld(List<ReservedAmount> found)
    {
        lock (accounts.Gate) held.Read(accounts.OrganizationId, found);
    }

    private BudgetPeriod? PeriodOf(BudgetKey key) =>
        (groups.Find(key.Scope, key.ScopeId, key.Model, key.Class, key.Name) as BudgetAccount)?.Find(key.PeriodStart);
}

using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>Reads the counters of one organization, for headers, refusals and the admin API. Thread-safe.</summary>
internal sealed class OrganizationStates(OrganizationAccounts accounts, LimitGroups groups)
{
    /// <summary>
    /// The state of all limits that apply, at this moment. Budgets of which the database has not said yet how much is used are left out.
    /// </summary>
    public LimitState[] Of(AppliedLimits limits)
    {
        var now = accounts.Clock.Now();
        var states = new LimitState[limits.Rates.Length + limits.Concurrency.Length + limits.Budgets.Length];
        var at = 0;
        lock (accounts.Gate)
        {
            limits.Adapt(now.Timestamp);
            foreach (var bucket in limits.Rates) states[at++] = bucket.StateAt(now);
            foreach (var counter in limits.Concurrency) states[at++] = counter.StateAt(now);
            foreach (var budget in limits.Budgets)
            {
                if (budget.IsKnown(now)) states[at++] = budget.StateAt(now);
            }
        }
        return at == states.Length ? states : states[..at];
    }

    /// <summary>The state of one limit, or null if this process does not know how much of it is used.</summary>
    public LimitState? Of(LimitScope scope, string scopeId, string? model, string? @class, LimitName name)
    {
        var now = accounts.Clock.Now();
        lock (accounts.Gate)
        {
            if (groups.Find(scope, scopeId, model, @class, name) is not { IsActive: true } counter || !counter.IsKnown(now)) return null;
            counter.Adapt(null, now.Timestamp);
            return counter.StateAt(now);
        }
    }

    /// <summary>Every limit that does not allow the amounts now, with the wait until it does.</summary>
    public List<RefusingLimit> Refusing(TokenReservation reservation, AppliedLimits limits, ReservationParts parts, in LimitAmounts amounts)
    {
        var now = accounts.Clock.Now();
        lock (accounts.Gate)
        {
            if ((parts & ReservationParts.Rates) != 0) limits.Adapt(now.Timestamp);
            return RefusingLimits.Find(reservation, limits, parts, amounts, now);
        }
    }
}

namespace Fairlead.Limits;

/// <summary>
/// Finds the limits that do not allow a call now, with the wait until they do. Not thread-safe: <see cref="OrganizationAccounts"/> guards
/// the counters.
/// </summary>
internal static class RefusingLimits
{
    /// <param name="reservation">Of the call.</param>
    /// <param name="limits">The limits that apply.</param>
    /// <param name="parts">What it reserves.</param>
    /// <param name="amounts">How much.</param>
    /// <param name="now">The moment.</param>
    public static List<RefusingLimit> Find(
        TokenReservation reservation, AppliedLimits limits, ReservationParts parts, in LimitAmounts amounts, LimitMoment now)
    {
        var refusing = new List<RefusingLimit>();
        if ((parts & ReservationParts.Rates) != 0) AddRates(refusing, limits, amounts, now);
        if ((parts & ReservationParts.Money) == 0) return refusing;
        foreach (var budget in limits.Budgets)
        {
            var amount = amounts.Of(budget.Name);
            var period = budget.At(reservation.AcceptedAt);
            if (amount == 0 || budget.FreeOf(period) >= amount) continue;
            var wait = period.End - now.Utc;
            refusing.Add(new RefusingLimit(budget.StateAt(now with { Utc = reservation.AcceptedAt }), amount,
                amount > budget.Limit ? null : wait > TimeSpan.Zero ? wait : TimeSpan.Zero, false));
        }
        AddLaterPeriods(refusing, limits, amounts, now);
        return refusing;
    }

    /// <summary>Adds the rates and the concurrency that do not allow the amounts now.</summary>
    public static void AddRates(List<RefusingLimit> refusing, AppliedLimits limits, in LimitAmounts amounts, LimitMoment now)
    {
        foreach (var bucket in limits.Rates)
        {
            var amount = amounts.Of(bucket.Name);
            if (bucket.CanTake(amount, now.Timestamp)) continue;
            refusing.Add(
                new RefusingLimit(bucket.StateAt(now), bucket.NeedOf(amount), bucket.WaitFor(amount, now.Timestamp), bucket.IsElastic));
        }
        foreach (var counter in limits.Concurrency)
        {
            if (!counter.CanTake) refusing.Add(new RefusingLimit(counter.StateAt(now), 1, counter.EstimateWait(), true));
        }
    }

    /// <summary>
    /// The wait may end in a period that is used up already, because the clock was there before it jumped back. Then it is longer.
    /// </summary>
    private static void AddLaterPeriods(List<RefusingLimit> refusing, AppliedLimits limits, in LimitAmounts amounts, LimitMoment now)
    {
        var wait = TimeSpan.Zero;
        foreach (var limit in refusing)
        {
            if (limit.Wait > wait) wait = limit.Wait.Value;
        }
        if (wait == TimeSpan.Zero) return;
        for (var i = 0; i < limits.Budgets.Length; i++)
        {
            var (budget, amount) = (limits.Budgets[i], amounts.Of(limits.Budgets[i].Name));
            if (amount == 0 || amount > budget.Limit || budget.Find(now.Utc + wait) is not { } later || budget.LeftOf(later) >= amount) continue;
            // All of them must allow it then.
            wait = later.End - now.Utc;
            refusing.Add(new RefusingLimit(budget.StateAt(now with { Utc = later.Start }), amount, wait, false));
            i = -1;
        }
    }
}

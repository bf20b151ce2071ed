namespace Fairlead.Limits;

/// <summary>
/// A budget per calendar day or month in UTC. A call belongs to the period in which it was accepted, by the wall clock of that moment, also
/// when it ends in a later one. If the clock jumps back, calls belong to the earlier period again, whose use is still known.
/// </summary>
internal sealed class BudgetAccount(LimitIdentity identity) : LimitCounter(identity)
{
    /// <summary>Ended periods that are kept in case that the clock jumps back, in addition to those that calls still hold.</summary>
    private const int MaxEnded = 8;

    private BudgetPeriod? _current;
    private List<BudgetPeriod>? _others;

    public IEnumerable<BudgetPeriod> Periods => (_current is null ? [] : (BudgetPeriod[])[_current]).Concat(_others ?? []);

    /// <summary>Sets the limit in force. Returns whether it changed.</summary>
    public bool Apply(long limit)
    {
        if (Limit == limit) return false;
        Limit = limit;
        foreach (var period in Periods) period.Reopen();
        return true;
    }

    public BudgetKey KeyOf(BudgetPeriod period) =>
        new(Identity.Scope, Identity.OrganizationId, Identity.ScopeId, Identity.Model, Identity.Class, Name, period.Start);

    /// <summary>The key of the budget's period that has this moment.</summary>
    public static BudgetKey KeyOf(LimitIdentity identity, DateTimeOffset moment) => new(
        identity.Scope, identity.OrganizationId, identity.ScopeId, identity.Model, identity.Class, identity.Name,
        BoundsOf(identity.Name, moment).Start);

    public BudgetPeriod? Find(DateTimeOffset moment)
    {
        if (_current?.Contains(moment) == true) return _current;
        if (_others is null) return null;
        foreach (var period in _others)
        {
            if (period.Contains(moment)) return period;
        }
        return null;
    }

    /// <summary>The period of a moment.</summary>
    public BudgetPeriod At(DateTimeOffset moment) => _current is { } current && current.Contains(moment) ? current : FindOrAdd(moment);

    /// <summary>
    /// What the next call can take without asking the database. After the limit was lowered, the slice may be larger than what is left.
    /// </summary>
    public long FreeOf(BudgetPeriod period) => Math.Min(period.Free, LeftOf(period));

    /// <summary>What is left of the limit, as far as this node knows.</summary>
    public long LeftOf(BudgetPeriod period)
    {
        var left = (Int128)Limit - Used(period) - period.Held;
        return left < long.MinValue ? long.MinValue : (long)left;
    }

    /// <summary>Takes what is not in use out of the slices of all periods but that of <paramref name="now"/>.</summary>
    public void TakeEnded(DateTimeOffset now, List<(BudgetKey Key, long Amount)> unused)
    {
        foreach (var period in Periods)
        {
            if (!period.Contains(now) && period.TakeFree() is > 0 and var amount) unused.Add((KeyOf(period), amount));
        }
    }

    public override bool IsNear(LimitMoment now) => Find(now.Utc) is { } period
        && Used(period) + (Int128)period.Held >= (Int128)Limit - (Limit / 5);

    public override bool IsAtRest(LimitMoment now) =>
        Periods.All(period =>
        period.Held == 0 && period.Free <= 0 && period.Request is null && (period.Spent == 0 || period.End <= now.Utc));

    /// <summary>False until the database was asked for it: what other nodes and earlier processes have used is not known before.</summary>
    public override bool IsKnown(LimitMoment now) => Find(now.Utc) is { IsKnown: true };

    public override LimitState StateAt(LimitMoment now)
    {
        if (Find(now.Utc) is not { } period) return State(Limit, 0, 0, Limit, null, BoundsOf(Name, now.Utc).End);
        // What this node has leased is its own, whatever the other nodes held when it asked.
        var remaining = (Int128)Limit - Used(period) - period.Held - period.HeldElsewhere;
        if (remaining < FreeOf(period)) remaining = FreeOf(period);
        return State(Limit, Used(period), period.Held, remaining < 0 ? 0 : (long)remaining, null, period.End);
    }

    private static long Used(BudgetPeriod period) =>
        Conversation.Money.Add(Conversation.Money.Add(period.Spent, period.UsedElsewhere), period.Unpaid);

    private BudgetPeriod FindOrAdd(DateTimeOffset moment)
    {
        if (Find(moment) is { } known) return known;
        var (start, end) = BoundsOf(Name, moment);
        var added = new BudgetPeriod(start, end);
        if (_current is null || added.Start > _current.Start)
        {
            if (_current is not null) (_others ??= []).Add(_current);
            _current = added;
        }
        else
        {
            (_others ??= []).Add(added);
        }
        while (_others?.Count > MaxEnded
            && _others.Where(period => period.Held == 0 && period.Free <= 0 && period.Request is null).MinBy(period => period.Start)
                is { } old)
        {
            _others.Remove(old);
        }
        return added;
    }

    private static (DateTimeOffset Start, DateTimeOffset End) BoundsOf(LimitName name, DateTimeOffset moment)
    {
        var day = new DateTimeOffset(moment.UtcDateTime.Date, TimeSpan.Zero);
        if (!name.IsMonthly()) return (day, day.AddDays(1));
        var month = day.AddDays(1 - day.Day);
        return (month, month.AddMonths(1));
    }
}

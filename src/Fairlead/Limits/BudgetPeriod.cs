namespace Fairlead.Limits;

/// <summary>
/// A day or month of a budget on this node: the slice that was leased for it, and what calls that were accepted in it have spent and hold.
/// Not thread-safe, like its account.
/// </summary>
internal sealed class BudgetPeriod(DateTimeOffset start, DateTimeOffset end)
{
    private const double ForecastSeconds = 4;

    private long _heldSince;
    private long? _grantedAt;
    private long _quietUntil;
    private long _quietLack = long.MaxValue;

    public DateTimeOffset Start { get; } = start;

    /// <summary>The start of the next period.</summary>
    public DateTimeOffset End { get; } = end;

    /// <summary>All slices leased so far, without what was returned.</summary>
    public long Granted { get; private set; }

    /// <summary>The part of the slice that ended calls used.</summary>
    public long Spent { get; private set; }

    /// <summary>What running calls and accepted jobs have reserved.</summary>
    public long Held { get; private set; }

    /// <summary>What the database knew of at the last request, and is not in <see cref="Spent"/>.</summary>
    public long UsedElsewhere { get; private set; }

    public long HeldElsewhere { get; private set; }

    /// <summary>
    /// Usage of calls of this process that no slice paid for, since the last request: of calls that ran already when the budget was added,
    /// and above what was reserved. The database adds it to what is used elsewhere.
    /// </summary>
    public long Unpaid { get; private set; }

    /// <summary>Whether the database has said how much of the period is used.</summary>
    public bool IsKnown { get; private set; }

    /// <summary>Timestamp of the last reservation or settlement.</summary>
    public long UsedAt { get; private set; }

    /// <summary>The request to the database for more of it that runs now, or null.</summary>
    public Task? Request { get; set; }

    /// <summary>What calls lack that wait until that request has ended.</summary>
    public long Waiting { get; set; }

    /// <summary>The part of the slice that is not in use; 0 or more.</summary>
    public long Free => Granted - Spent - Held;

    public bool Contains(DateTimeOffset moment) => Start <= moment && moment < End;

    public void Hold(long amount, long now)
    {
        Held += amount;
        _heldSince += amount;
        UsedAt = now;
    }

    /// <summary>
    /// Undoes <see cref="Hold"/> for a call that another limit has refused: it says nothing about what the next calls will reserve.
    /// </summary>
    public void Release(long amount)
    {
        Held -= amount;
        // A request for more may have started the count again in between.
        _heldSince = Math.Max(0, _heldSince - amount);
    }

    /// <summary>Replaces what was held by what was used.</summary>
    /// <returns>The part of the usage for which the slice was too small. It is not taken from the slice.</returns>
    public long Settle(long held, long used, long now)
    {
        Held -= held;
        var paid = Math.Min(used, Math.Max(0, Free));
        Spent += paid;
        Unpaid = Conversation.Money.Add(Unpaid, used - paid);
        UsedAt = now;
        return used - paid;
    }

    /// <summary>Adds an amount to the slice that the database has given for one reservation, and holds it.</summary>
    public void HoldGiven(long amount, long now)
    {
        Granted += amount;
        Hold(amount, now);
    }

    /// <summary>What the calls of the next seconds will probably reserve beyond <paramref name="lack"/>.</summary>
    public long Forecast(long lack, LimitClock clock, long now)
    {
        var seconds = _grantedAt is { } since ? Math.Max(1, (now - since) / (double)clock.PerSecond) : double.PositiveInfinity;
        var forecast = Math.Min(_heldSince / seconds * ForecastSeconds, long.MaxValue / 4);
        return lack + (long)forecast + Waiting;
    }

    /// <param name="grant">The response of the database.</param>
    /// <param name="unpaid"><see cref="Unpaid"/> at the request: the response has it among what is used elsewhere.</param>
    /// <param name="now">Timestamp.</param>
    public void Add(BudgetGrant grant, long unpaid, long now)
    {
        Granted += grant.Granted;
        (UsedElsewhere, HeldElsewhere) = (grant.UsedElsewhere, grant.HeldElsewhere);
        Unpaid = Math.Max(0, Unpaid - unpaid);
        IsKnown = true;
        _heldSince = 0;
        _grantedAt = now;
    }

    /// <summary>Takes what is not in use out of the slice.</summary>
    public long TakeFree()
    {
        var free = Math.Max(0, Free);
        Granted -= free;
        // Others can lend that now, and calls lack more than before.
        if (free > 0) Reopen();
        return free;
    }

    /// <summary>Whether the database said a moment ago that it does not have this much.</summary>
    public bool IsExhausted(long lack, long now) => now < _quietUntil && lack >= _quietLack;

    public void MarkExhausted(long lack, long now, long until)
    {
        _quietLack = now < _quietUntil ? Math.Min(_quietLack, lack) : lack;
        _quietUntil = until;
    }

    /// <summary>Forgets that the budget was exhausted: its limit or its slice has changed.</summary>
    public void Reopen() => _quietUntil = 0;
}

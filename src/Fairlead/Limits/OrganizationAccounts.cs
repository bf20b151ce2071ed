using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Limits.Elastic;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>
/// All counters of one organization, behind one lock: every limit that can apply to a call belongs to one organization, so all of them are
/// taken or none, in one pass, and organizations never wait for each other. Thread-safe.
/// </summary>
internal sealed class OrganizationAccounts
{
    private readonly Lock _gate = new();
    private readonly LimitGroups _groups;
    private readonly HeldAmountsTable _held = new();
    private LedgerTotals _totals;
    private long _usedAt;
    private bool _isDropped;

    public OrganizationAccounts(string organizationId, LimitClock clock, ElasticLevels elastic)
    {
        OrganizationId = organizationId;
        Clock = clock;
        _usedAt = clock.Time.GetTimestamp();
        _groups = new LimitGroups(this, elastic);
        Slices = new OrganizationSlices(this, _groups, _held);
        States = new OrganizationStates(this, _groups);
    }

    public string OrganizationId { get; }

    public LimitClock Clock { get; }

    /// <summary>What this process has of budgets.</summary>
    public OrganizationSlices Slices { get; }

    /// <summary>What the counters say now.</summary>
    public OrganizationStates States { get; }

    /// <summary>Guards the counters.</summary>
    public Lock Gate => _gate;

    /// <summary>All rates, for those who hold <see cref="Gate"/>.</summary>
    public IEnumerable<RateBucket> Rates => _groups.Rates;

    /// <summary>All limits of concurrency, for those who hold <see cref="Gate"/>.</summary>
    public IEnumerable<ConcurrencyCounter> Concurrency => _groups.Concurrency;

    public bool IsDropped => Volatile.Read(ref _isDropped);

    public LedgerTotals Totals
    {
        get
        {
            lock (_gate) return _totals;
        }
    }

    public int CountCounters()
    {
        lock (_gate) return _groups.Count;
    }

    /// <summary>Puts the limits that a caller declares in force.</summary>
    /// <param name="caller">The caller.</param>
    /// <param name="keyLimits">The limits of its key, with the defaults.</param>
    public void Declare(Caller caller, LimitSet keyLimits)
    {
        lock (_gate) _groups.Declare(caller, keyLimits, Clock.Time.GetTimestamp());
    }

    /// <summary>The limits of calls of a caller, after those that it declares were put in force.</summary>
    /// <param name="caller">The caller.</param>
    /// <param name="keyLimits">The limits of its key, with the defaults.</param>
    /// <param name="model">The model that it calls.</param>
    /// <param name="class">The class of the calls.</param>
    public AppliedLimits Resolve(Caller caller, LimitSet keyLimits, CatalogueModel model, string @class)
    {
        lock (_gate)
        {
            _usedAt = Clock.Time.GetTimestamp();
            return _groups.Resolve(caller, keyLimits, model, @class, _usedAt);
        }
    }

    /// <summary>Puts the factors of elastic limits in force.</summary>
    public void Adapt(AppliedLimits limits)
    {
        lock (_gate) limits.Adapt(Clock.Time.GetTimestamp());
    }

    /// <summary>Takes everything that <paramref name="reservation"/> needs, or nothing.</summary>
    /// <param name="reservation">Holds nothing of <paramref name="parts"/> yet.</param>
    /// <param name="limits">The limits that apply.</param>
    /// <param name="parts">What to reserve.</param>
    /// <param name="amounts">How much.</param>
    /// <param name="isNear">Whether 80 % of any limit is used or reserved now.</param>
    public ReserveStatus TryReserve(TokenReservation reservation, AppliedLimits limits, ReservationParts parts, in LimitAmounts amounts,
        out bool isNear)
    {
        isNear = false;
        var takesRates = (parts & ReservationParts.Rates) != 0;
        var takesMoney = (parts & ReservationParts.Money) != 0;
        var now = Clock.Time.GetTimestamp();
        lock (_gate)
        {
            if (_isDropped || limits.IsDropped) return ReserveStatus.Dropped;
            if (takesRates) limits.Adapt(now);
            if (takesMoney)
            {
                foreach (var budget in limits.Budgets)
                {
                    var amount = amounts.Of(budget.Name);
                    if (amount > 0 && budget.FreeOf(budget.At(reservation.AcceptedAt)) < amount) return ReserveStatus.Short;
                }
            }
            if (takesRates && !limits.CanTakeRates(amounts, now)) return ReserveStatus.Refused;

            var moment = new LimitMoment(now, reservation.AcceptedAt);
            if (takesRates)
            {
                foreach (var bucket in limits.Rates)
                {
                    bucket.Take(amounts.Of(bucket.Name));
                    isNear |= bucket.IsNear(moment);
                }
                foreach (var counter in limits.Concurrency)
                {
                    counter.Take();
                    isNear |= counter.IsNear(moment);
                }
                reservation.HoldRates(limits, amounts, now);
                limits.CountOpen(1, now);
            }
            if (takesMoney)
            {
                foreach (var budget in limits.Budgets)
                {
                    budget.At(reservation.AcceptedAt).Hold(amounts.Of(budget.Name), now);
                    isNear |= budget.IsNear(moment);
                }
                HoldMoney(reservation, limits, amounts, now);
            }
            _usedAt = now;
            return ReserveStatus.Reserved;
        }
    }

    /// <summary>Releases the tokens and money of a reservation that another limit has refused. It holds nothing then.</summary>
    public void ReleaseMoney(TokenReservation reservation)
    {
        var now = Clock.Time.GetTimestamp();
        lock (_gate)
        {
            if (reservation.Money is not { } money) return;
            var held = reservation.Amounts;
            foreach (var budget in money.Budgets) budget.At(reservation.AcceptedAt).Release(held.Of(budget.Name));
            _totals.Held(-held.Tokens, -held.Pico);
            _totals.Open--;
            if (reservation.Held is { } listed)
            {
                listed.Pico -= held.Pico;
                listed.Open--;
                reservation.Held = null;
            }
            money.CountOpen(-1, now);
            reservation.ReleaseMoney();
        }
    }

    /// <summary>Raises the tokens and money of a reservation to <paramref name="amounts"/>, or changes nothing.</summary>
    public ReserveStatus TryExtend(TokenReservation reservation, in LimitAmounts amounts)
    {
        var now = Clock.Time.GetTimestamp();
        lock (_gate)
        {
            if (reservation.IsSettled || reservation.Money is not { } limits) return ReserveStatus.Reserved;
            var more = reservation.Missing(amounts);
            foreach (var budget in limits.Budgets)
            {
                var amount = more.Of(budget.Name);
                if (amount > 0 && budget.FreeOf(budget.At(reservation.AcceptedAt)) < amount) return ReserveStatus.Short;
            }
            foreach (var budget in limits.Budgets) budget.At(reservation.AcceptedAt).Hold(more.Of(budget.Name), now);
            reservation.Raise(more);
            _totals.Held(more.Tokens, more.Pico);
            if (reservation.Held is { } listed) listed.Pico += more.Pico;
            return ReserveStatus.Reserved;
        }
    }

    /// <summary>Returns the rates and the concurrency of a reservation, of which nothing was used. Its money stays held.</summary>
    public void ReleaseRates(TokenReservation reservation)
    {
        var now = Clock.Time.GetTimestamp();
        lock (_gate)
        {
            if (reservation.IsSettled || reservation.Rates is not { } rates) return;
            foreach (var bucket in rates.Rates)
                bucket.Settle(reservation.Amounts.Of(bucket.Name), 0, now, reservation.Outage != 0);
            foreach (var counter in rates.Concurrency) counter.Return();
            rates.CountOpen(-1, now);
            reservation.DropRates();
            _usedAt = now;
        }
    }

    /// <summary>
    /// Holds the tokens and money of an accepted job that the database has given for it: they are added to the slices.
    /// </summary>
    /// <returns>False if the accounts or the limits were dropped meanwhile. Nothing is held then.</returns>
    public bool TryHoldGiven(TokenReservation reservation, AppliedLimits limits, in LimitAmounts amounts)
    {
        var now = Clock.Time.GetTimestamp();
        lock (_gate)
        {
            if (_isDropped || limits.IsDropped) return false;
            foreach (var budget in limits.Budgets) budget.At(reservation.AcceptedAt).HoldGiven(amounts.Of(budget.Name), now);
            HoldMoney(reservation, limits, amounts, now);
            _usedAt = now;
            return true;
        }
    }

    /// <summary>
    /// Replaces what a reservation holds by what was used. Limits that were added while the call ran count its usage too. Only the first
    /// call has an effect.
    /// </summary>
    /// <param name="reservation">The reservation.</param>
    /// <param name="used">What the call used.</param>
    /// <param name="leases">Gets the usage that no slice pays for.</param>
    public bool Settle(TokenReservation reservation, in LimitAmounts used, IBudgetLeases leases)
    {
        var now = Clock.Time.GetTimestamp();
        lock (_gate)
        {
            if (reservation.IsSettled) return false;
            reservation.IsSettled = true;
            var held = reservation.Amounts;
            var (rates, money) = (reservation.Rates, reservation.Money);
            if (rates is not null)
            {
                foreach (var bucket in rates.Rates)
                    bucket.Settle(held.Of(bucket.Name), used.Of(bucket.Name), now, reservation.Outage != 0);
                foreach (var counter in rates.Concurrency) counter.Release(now - reservation.StartedAt);
                rates.CountOpen(-1, now);
            }
            if (money is not null)
            {
                foreach (var budget in money.Budgets) Pay(budget, reservation, held.Of(budget.Name), used, leases, now);
                _totals.Held(-held.Tokens, -held.Pico);
                _totals.Open--;
                if (reservation.Held is { } listed)
                {
                    listed.Pico -= held.Pico;
                    listed.Open--;
                }
                money.CountOpen(-1, now);
            }
            _totals.Used(used.Tokens, used.Pico);
            if (rates is { IsComplete: false } || (money is { IsComplete: false } && !ReferenceEquals(money, rates)))
                ChargeAdded(reservation, used, leases, now);
            _usedAt = now;
            return true;
        }
    }

    /// <summary>
    /// Drops the counters that nothing used for <paramref name="idle"/> if nothing would be lost, and those of deleted keys. Drops all
    /// accounts if nothing used any of them.
    /// </summary>
    /// <returns>Whether all were dropped.</returns>
    public bool Sweep(TimeSpan idle, ICurrentCallers? callers)
    {
        var now = Clock.Now();
        lock (_gate)
        {
            _groups.Sweep(idle, callers, now);
            _held.Sweep();
            if (_totals.Open > 0 || Clock.ToSpan(now.Timestamp - _usedAt) < idle || !_groups.IsAtRest(now)) return false;
            return _isDropped = true;
        }
    }

    // What a slice does not pay for is in the ledger like usage of other nodes: the lease of this process must not pay for it there.
    private static void Pay(
        BudgetAccount budget, TokenReservation reservation, long held, in LimitAmounts used, IBudgetLeases leases, long now)
    {
        var period = budget.At(reservation.AcceptedAt);
        if (period.Settle(held, used.Of(budget.Name), now) is > 0 and var unpaid) leases.AddUnpaid(budget.KeyOf(period), unpaid);
    }

    private void HoldMoney(TokenReservation reservation, AppliedLimits limits, in LimitAmounts amounts, long now)
    {
        reservation.HoldMoney(limits, amounts);
        _totals.Held(amounts.Tokens, amounts.Pico);
        _totals.Open++;
        limits.CountOpen(1, now);
        if (limits.HasMoney) _held.Add(reservation, limits, amounts.Pico);
    }

    private void ChargeAdded(TokenReservation reservation, in LimitAmounts used, IBudgetLeases leases, long now)
    {
        var current = _groups.Current(reservation);
        // A request that was admitted before its limit existed is not counted as a request; its tokens are.
        foreach (var bucket in current.Rates)
        {
            if (reservation.Rates is { } rates && !rates.Rates.Contains(bucket) && bucket.Name != LimitName.RequestsPerMinute)
                bucket.Settle(0, used.Of(bucket.Name), now);
        }
        foreach (var budget in current.Budgets)
        {
            if (reservation.Money?.Budgets.Contains(budget) != true) Pay(budget, reservation, 0, used, leases, now);
        }
    }
}

using Fairlead.Access;
using Fairlead.Catalogue;

namespace Fairlead.Limits;

/// <summary>What became of an attempt to reserve.</summary>
internal enum ReserveStatus
{
    Reserved,

    /// <summary>A rate or the concurrency does not allow it now.</summary>
    Refused,

    /// <summary>The slice of a budget is too small.</summary>
    Short,

    /// <summary>The accounts were dropped because nothing had used them for a long time. Get them again.</summary>
    Dropped,
}

/// <summary>
/// All counters of one organization, behind one lock: every limit that can apply to a call belongs to one organization, so all of them are
/// taken or none, in one pass, and organizations never wait for each other. Thread-safe.
/// </summary>
internal sealed class OrganizationAccounts(string organizationId, LimitClock clock)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(LimitScope Scope, string Id, string? Model), LimitGroup> _groups = [];
    private readonly List<(BudgetKey Key, long Amount)> _unused = [];
    private LedgerTotals _totals;
    private long _usedAt = clock.Time.GetTimestamp();
    private bool _isDropped;
    private int _version;

    public string OrganizationId { get; } = organizationId;

    public LimitClock Clock { get; } = clock;

    /// <summary>Guards the counters.</summary>
    public Lock Gate => _gate;

    /// <summary>All rates, for those who hold <see cref="Gate"/>.</summary>
    public IEnumerable<RateBucket> Rates => _groups.Values.SelectMany(group => group.Counters).OfType<RateBucket>();

    /// <summary>Asks the database for slices, one request at a time.</summary>
    public BudgetRequests Requests { get; } = new();

    /// <summary>Changes when a limit is added.</summary>
    public int Version => Volatile.Read(ref _version);

    public bool IsDropped => Volatile.Read(ref _isDropped);

    public LedgerTotals Totals
    {
        get
        {
            lock (_gate) return _totals;
        }
    }

    /// <summary>Puts the limits that a caller declares in force.</summary>
    /// <param name="caller">The caller.</param>
    /// <param name="keyLimits">The limits of its key, with the defaults.</param>
    public void Declare(Caller caller, LimitSet keyLimits)
    {
        lock (_gate) Declare(caller, keyLimits, Clock.Time.GetTimestamp());
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
            var now = Clock.Time.GetTimestamp();
            _usedAt = now;
            Declare(caller, keyLimits, now);
            if (Apply(LimitScope.Model, OrganizationId, model.Id, model.Limits, model.Version, now)) _version++;
            return Build(caller.ProjectId, caller.KeyId, model.Id, @class) with
            {
                InputPerRequest = LowestOf(caller, keyLimits, model, @class, LimitName.InputTokensPerRequest),
                OutputPerRequest = LowestOf(caller, keyLimits, model, @class, LimitName.OutputTokensPerRequest),
            };
        }
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
            if (_isDropped) return ReserveStatus.Dropped;
            if (takesMoney)
            {
                foreach (var budget in limits.Budgets)
                {
                    var amount = amounts.Of(budget.Name);
                    if (amount > 0 && budget.FreeOf(budget.At(reservation.AcceptedAt)) < amount) return ReserveStatus.Short;
                }
            }
            if (takesRates && !CanTakeRates(limits, amounts, now)) return ReserveStatus.Refused;

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
            }
            if (takesMoney)
            {
                foreach (var budget in limits.Budgets)
                {
                    budget.At(reservation.AcceptedAt).Hold(amounts.Of(budget.Name), now);
                    isNear |= budget.IsNear(moment);
                }
                reservation.HoldMoney(limits, amounts);
                _totals.Held(amounts.Tokens, amounts.Pico);
                _totals.Open++;
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
            foreach (var budget in money.Budgets) budget.At(reservation.AcceptedAt).Settle(held.Of(budget.Name), 0, now);
            _totals.Held(-held.Tokens, -held.Pico);
            _totals.Open--;
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
            return ReserveStatus.Reserved;
        }
    }

    /// <summary>
    /// Replaces what a reservation holds by what was used. Limits that were added while the call ran count its usage too. Only the first
    /// call has an effect.
    /// </summary>
    public bool Settle(TokenReservation reservation, in LimitAmounts used)
    {
        var now = Clock.Time.GetTimestamp();
        lock (_gate)
        {
            if (reservation.IsSettled) return false;
            reservation.IsSettled = true;
            var held = reservation.Amounts;
            if (reservation.Rates is { } rates)
            {
                foreach (var bucket in rates.Rates) bucket.Settle(held.Of(bucket.Name), used.Of(bucket.Name), now);
                foreach (var counter in rates.Concurrency) counter.Release(now - reservation.StartedAt);
            }
            if (reservation.Money is { } money)
            {
                foreach (var budget in money.Budgets)
                {
                    budget.At(reservation.AcceptedAt).Settle(held.Of(budget.Name), used.Of(budget.Name), now);
                }
                _totals.Held(-held.Tokens, -held.Pico);
                _totals.Open--;
            }
            _totals.Used(used.Tokens, used.Pico);
            var resolvedAt = Math.Min(reservation.Rates?.Version ?? int.MaxValue, reservation.Money?.Version ?? int.MaxValue);
            if (resolvedAt != _version) ChargeAdded(reservation, used, now);
            _usedAt = now;
            return true;
        }
    }

    /// <summary>Every limit that does not allow the amounts now, with the wait until it does.</summary>
    public List<RefusingLimit> Refusing(TokenReservation reservation, AppliedLimits limits, ReservationParts parts, in LimitAmounts amounts)
    {
        var now = Clock.Now();
        var refusing = new List<RefusingLimit>();
        lock (_gate)
        {
            if ((parts & ReservationParts.Rates) != 0) AddRefusingRates(refusing, limits, amounts, now);
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
        }
        return refusing;
    }

    /// <summary>What the slices have left for one more call; null for no budget of that kind.</summary>
    public (long? Tokens, long? Pico) Available(TokenReservation reservation, AppliedLimits limits)
    {
        long? tokens = null, pico = null;
        lock (_gate)
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
        Requests.AcquireAsync(_gate, Clock, needs, leases, cancellationToken);

    /// <summary>The state of all limits that apply, at this moment.</summary>
    public LimitState[] StatesOf(AppliedLimits limits)
    {
        var now = Clock.Now();
        var states = new LimitState[limits.Rates.Length + limits.Concurrency.Length + limits.Budgets.Length];
        var at = 0;
        lock (_gate)
        {
            foreach (var bucket in limits.Rates) states[at++] = bucket.StateAt(now);
            foreach (var counter in limits.Concurrency) states[at++] = counter.StateAt(now);
            foreach (var budget in limits.Budgets) states[at++] = budget.StateAt(now);
        }
        return states;
    }

    /// <summary>The state of one limit, or null if nothing of it was used in this process.</summary>
    public LimitState? StateOf(LimitScope scope, string scopeId, string? model, string? @class, LimitName name)
    {
        var now = Clock.Now();
        lock (_gate) return Find(scope, scopeId, model, @class, name) is { IsActive: true } counter ? counter.StateAt(now) : null;
    }

    /// <summary>What this process has spent of a budget since its start, and what its calls have reserved.</summary>
    public (long Spent, long Held) UseOf(BudgetKey key)
    {
        lock (_gate)
        {
            return Find(key.Scope, key.ScopeId, key.Model, key.Class, key.Name) is BudgetAccount budget
                && budget.Find(key.PeriodStart) is { } period ? (period.Spent, period.Held) : default;
        }
    }

    /// <summary>Takes what a budget does not use out of its slice.</summary>
    public long TakeUnused(BudgetKey key)
    {
        lock (_gate)
        {
            return Find(key.Scope, key.ScopeId, key.Model, key.Class, key.Name) is BudgetAccount budget
                ? budget.Find(key.PeriodStart)?.TakeFree() ?? 0 : 0;
        }
    }

    /// <summary>Takes what was not used for <paramref name="idle"/>, and what is left of ended periods.</summary>
    public void TakeIdle(TimeSpan idle, List<(BudgetKey Key, long Amount)> unused)
    {
        var now = Clock.Now();
        lock (_gate)
        {
            unused.AddRange(_unused);
            _unused.Clear();
            foreach (var budget in _groups.Values.SelectMany(group => group.Counters).OfType<BudgetAccount>())
            {
                budget.TakeEnded(now.Utc, unused);
                if (budget.Find(now.Utc) is { } period && Clock.ToSpan(now.Timestamp - period.UsedAt) >= idle
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
        lock (_gate)
        {
            if (_unused.Count == 0) return [];
            (BudgetKey, long)[] taken = [.. _unused];
            _unused.Clear();
            return taken;
        }
    }

    /// <summary>Drops the accounts if nothing used them for <paramref name="idle"/> and nothing would be lost.</summary>
    public bool TryDrop(TimeSpan idle)
    {
        var now = Clock.Now();
        lock (_gate)
        {
            if (_totals.Open > 0 || _unused.Count > 0 || Clock.ToSpan(now.Timestamp - _usedAt) < idle) return false;
            if (_groups.Values.Any(group => group.Counters.Any(counter => !counter.IsAtRest(now)))) return false;
            return _isDropped = true;
        }
    }

    /// <summary>Adds the rates and the concurrency that do not allow the amounts now. The caller holds the lock.</summary>
    public static void AddRefusingRates(List<RefusingLimit> refusing, AppliedLimits limits, in LimitAmounts amounts, LimitMoment now)
    {
        foreach (var bucket in limits.Rates)
        {
            var amount = amounts.Of(bucket.Name);
            if (bucket.CanTake(amount, now.Timestamp)) continue;
            refusing.Add(new RefusingLimit(bucket.StateAt(now), bucket.NeedOf(amount), bucket.WaitFor(amount, now.Timestamp), false));
        }
        foreach (var counter in limits.Concurrency)
        {
            if (!counter.CanTake) refusing.Add(new RefusingLimit(counter.StateAt(now), 1, counter.EstimateWait(), true));
        }
    }

    private static bool CanTakeRates(AppliedLimits limits, in LimitAmounts amounts, long now)
    {
        foreach (var bucket in limits.Rates)
        {
            if (!bucket.CanTake(amounts.Of(bucket.Name), now)) return false;
        }
        foreach (var counter in limits.Concurrency)
        {
            if (!counter.CanTake) return false;
        }
        return true;
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

    private void ChargeAdded(TokenReservation reservation, in LimitAmounts used, long now)
    {
        var current = Build(reservation.ProjectId, reservation.KeyId, reservation.Model, reservation.Class);
        // A request that was admitted before its limit existed is not counted as a request; its tokens are.
        foreach (var bucket in current.Rates)
        {
            if (reservation.Rates is { } rates && !rates.Rates.Contains(bucket) && bucket.Name != LimitName.RequestsPerMinute)
                bucket.Settle(0, used.Of(bucket.Name), now);
        }
        foreach (var budget in current.Budgets)
        {
            if (reservation.Money?.Budgets.Contains(budget) != true)
                budget.At(reservation.AcceptedAt).Settle(0, used.Of(budget.Name), now);
        }
    }

    private void Declare(Caller caller, LimitSet keyLimits, long now)
    {
        var added = Apply(LimitScope.Organization, OrganizationId, null, caller.OrganizationLimits, caller.Version, now)
            | Apply(LimitScope.Project, caller.ProjectId, null, caller.ProjectLimits, caller.Version, now)
            | Apply(LimitScope.Key, caller.KeyId, null, keyLimits, caller.Version, now);
        if (added) _version++;
    }

    private bool Apply(LimitScope scope, string scopeId, string? model, LimitSet set, long version, long now)
    {
        if (!_groups.TryGetValue((scope, scopeId, model), out var group))
        {
            if (ReferenceEquals(set, LimitSet.None)) return false;
            _groups[(scope, scopeId, model)] = group = new LimitGroup(scope, OrganizationId, scopeId, model);
        }
        return group.Apply(set, version, Clock, now, _unused);
    }

    private AppliedLimits Build(string projectId, string keyId, string model, string @class)
    {
        var counters = Of(LimitScope.Organization, OrganizationId, null).Concat(Of(LimitScope.Project, projectId, null))
            .Concat(Of(LimitScope.Key, keyId, null)).Concat(Of(LimitScope.Model, OrganizationId, model)).ToArray();
        return new AppliedLimits
        {
            Accounts = this,
            Rates = [.. counters.OfType<RateBucket>()],
            Concurrency = [.. counters.OfType<ConcurrencyCounter>()],
            Budgets = [.. counters.OfType<BudgetAccount>()],
            Version = _version,
        };

        IEnumerable<LimitCounter> Of(LimitScope scope, string id, string? named) =>
            _groups.TryGetValue((scope, id, named), out var group) ? group.Of(@class) : [];
    }

    private static RequestLimit? LowestOf(Caller caller, LimitSet keyLimits, CatalogueModel model, string @class, LimitName name)
    {
        RequestLimit? lowest = null;
        Consider(LimitScope.Organization, caller.OrganizationLimits);
        Consider(LimitScope.Project, caller.ProjectLimits);
        Consider(LimitScope.Key, keyLimits);
        Consider(LimitScope.Model, model.Limits);
        return lowest;

        void Consider(LimitScope scope, LimitSet set)
        {
            var own = set.Classes.GetValueOrDefault(@class)?.ValueOf(name);
            if ((own ?? set.ValueOf(name)) is { } tokens && (lowest is null || tokens < lowest.Tokens))
                lowest = new RequestLimit(scope, scope == LimitScope.Model ? model.Id : null, own is null ? null : @class, tokens);
        }
    }

    private LimitCounter? Find(LimitScope scope, string scopeId, string? model, string? @class, LimitName name) =>
        _groups.TryGetValue((scope, scopeId, model), out var group) ? group.Find(@class, name) : null;
}

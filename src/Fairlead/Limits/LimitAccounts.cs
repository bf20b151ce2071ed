using System.Collections.Concurrent;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Limits.Elastic;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>The accounts of all organizations that this process has seen. Thread-safe without a global lock.</summary>
internal sealed class LimitAccounts(TimeProvider time, IConfigurationSource? configuration = null) : IBudgetSlices
{
    /// <summary>After this long without a call, accounts whose counters are back at rest are dropped.</summary>
    private static readonly TimeSpan DropAfter = TimeSpan.FromMinutes(10);

    private readonly ConcurrentDictionary<string, OrganizationAccounts> _organizations = new(StringComparer.Ordinal);
    private readonly Lock _droppedGate = new();
    private LedgerTotals _dropped;

    public LimitClock Clock { get; } = new(time);

    /// <summary>Where elastic limits stand.</summary>
    public ElasticLevels Elastic { get; } = new();

    /// <summary>Number of organizations with accounts.</summary>
    public int Count => _organizations.Count;

    /// <summary>Number of the counters of all organizations.</summary>
    public int CountCounters() => _organizations.Values.Sum(accounts => accounts.CountCounters());

    /// <summary>The accounts of every organization, as they are now.</summary>
    public IEnumerable<OrganizationAccounts> Organizations => _organizations.Values;

    /// <summary>The limits that apply to a call. Resolved once for each caller of a snapshot, model and class.</summary>
    public AppliedLimits Of(Caller caller, CatalogueModel model, string @class)
    {
        return Of(caller).Of(caller, model, @class);
    }

    /// <summary>Puts the limits that a caller declares in force.</summary>
    public void Declare(Caller caller)
    {
        var limits = Of(caller);
        limits.Accounts.Declare(caller, limits.KeyLimits);
    }

    private CallerLimits Of(Caller caller)
    {
        var defaults = configuration?.Current.Limits.Defaults ?? LimitSet.None;
        if (caller.ResolvedLimits is { } known && ReferenceEquals(known.Owner, this) && !known.Accounts.IsDropped
            && ReferenceEquals(known.Defaults, defaults))
        {
            return known;
        }
        return caller.ResolvedLimits =
            new CallerLimits(this, AccountsOf(caller.OrganizationId), defaults, LimitDefaults.Apply(caller.KeyLimits, defaults));
    }

    /// <summary>
    /// The states of the limits that are declared in <paramref name="set"/>, for every class that has its own values. A limit of which
    /// nothing was used in this process is full.
    /// </summary>
    /// <param name="scope">What the limits belong to.</param>
    /// <param name="organizationId">The payer.</param>
    /// <param name="scopeId">Id of the organization, project or key.</param>
    /// <param name="model">Only for <see cref="LimitScope.Model"/>.</param>
    /// <param name="set">The limits.</param>
    /// <param name="withUnknown">Whether budgets are listed of which only the database may know how much is used.</param>
    public IReadOnlyList<LimitState> StatesOf(
        LimitScope scope, string organizationId, string scopeId, string? model, LimitSet set, bool withUnknown = true)
    {
        var states = new List<LimitState>();
        Add(set, null, set.Burst ?? 1, set.Elastic);
        foreach (var (name, own) in set.Classes) Add(own, name, own.Burst ?? set.Burst ?? 1, own.Elastic ?? set.Elastic);
        return states;

        void Add(LimitSet values, string? @class, decimal burst, ElasticRange? elastic)
        {
            foreach (var name in LimitSetValues.All)
            {
                if (values.ValueOf(name) is not { } limit) continue;
                var known = name.IsCounted() && _organizations.TryGetValue(organizationId, out var accounts)
                    ? accounts.States.Of(scope, scopeId, model, @class, name) : null;
                if (known is null && name.IsBudget() && !withUnknown) continue;
                states.Add(known ?? Unused(new LimitIdentity(scope, organizationId, scopeId, model, @class, name), limit, burst,
                    elastic));
            }
        }
    }

    /// <summary>The states of all limits that apply to a caller: of its organization, project and key, and of a model.</summary>
    public IReadOnlyList<LimitState> StatesOf(Caller caller, CatalogueModel? model = null, bool withUnknown = true)
    {
        var organization = caller.OrganizationId;
        return
        [
            .. StatesOf(LimitScope.Key, organization, caller.KeyId, null, Of(caller).KeyLimits, withUnknown),
            .. StatesOf(LimitScope.Project, organization, caller.ProjectId, null, caller.ProjectLimits, withUnknown),
            .. StatesOf(LimitScope.Organization, organization, organization, null, caller.OrganizationLimits, withUnknown),
            .. model is null ? [] : StatesOf(LimitScope.Model, organization, organization, model.Id, model.Limits, withUnknown),
        ];
    }

    /// <summary>What all calls hold and have used since the process started.</summary>
    public LedgerTotals Totals()
    {
        LedgerTotals sum;
        lock (_droppedGate) sum = _dropped;
        foreach (var accounts in _organizations.Values) sum.Add(accounts.Totals);
        return sum;
    }

    /// <summary>Drops the accounts of organizations and the counters of keys, projects and models that are idle.</summary>
    /// <param name="callers">The stored keys: the counters of deleted ones are dropped too.</param>
    public void Sweep(ICurrentCallers? callers = null)
    {
        foreach (var (id, accounts) in _organizations)
        {
            if (!accounts.Sweep(DropAfter, callers)) continue;
            lock (_droppedGate) _dropped.Add(accounts.Totals);
            _organizations.TryRemove(new(id, accounts));
        }
    }

    /// <summary>What this process has spent of a budget since its start, and what its calls have reserved.</summary>
    public (long Spent, long Held) UseOf(BudgetKey key) =>
        _organizations.TryGetValue(key.OrganizationId, out var accounts) ? accounts.Slices.UseOf(key) : default;

    public long TakenOf(BudgetKey key)
    {
        var (spent, held) = UseOf(key);
        return Conversation.Money.Add(spent, held);
    }

    IReadOnlyCollection<ReservedAmount> IBudgetSlices.ReadHeld() => ReadHeld();

    public long TakeUnused(BudgetKey key) => _organizations.TryGetValue(key.OrganizationId, out var accounts) ? accounts.Slices.TakeUnused(key) : 0;

    public IReadOnlyList<(BudgetKey Key, long Amount)> TakeIdle(TimeSpan idle)
    {
        var unused = new List<(BudgetKey Key, long Amount)>();
        foreach (var accounts in _organizations.Values) accounts.Slices.TakeIdle(idle, unused);
        return unused;
    }

    /// <summary>What running calls and accepted jobs of this process hold of budgets of money.</summary>
    public List<ReservedAmount> ReadHeld()
    {
        var found = new List<ReservedAmount>();
        foreach (var accounts in _organizations.Values) accounts.Slices.ReadHeld(found);
        return found;
    }

    private OrganizationAccounts AccountsOf(string organizationId)
    {
        while (true)
        {
            var accounts = _organizations.GetOrAdd(
                organizationId, static (id, self) => new OrganizationAccounts(id, self.Clock, self.Elastic), this);
            if (!accounts.IsDropped) return accounts;
            _organizations.TryRemove(new(organizationId, accounts));
        }
    }

    private LimitState Unused(LimitIdentity identity, long limit, decimal burst, ElasticRange? elastic)
    {
        var now = Clock.Now();
        switch (identity.Name)
        {
            case LimitName.ConcurrentGenerations:
                var concurrency = new ConcurrencyCounter(identity, Clock);
                concurrency.Apply(limit, elastic);
                concurrency.Adapt(Elastic.Find(identity.Model, identity.Class), now.Timestamp);
                return concurrency.StateAt(now);
            case var name when name.IsRate():
                var bucket = new RateBucket(identity, Clock);
                bucket.Apply(limit, burst, now.Timestamp, elastic);
                bucket.Adapt(Elastic.Find(identity.Model, identity.Class), now.Timestamp);
                return bucket.StateAt(now);
            case var name when name.IsBudget():
                var budget = new BudgetAccount(identity);
                budget.Apply(limit);
                return budget.StateAt(now);
            default:
                return new LimitState(identity.Name, identity.Scope, identity.ScopeId, identity.Model, identity.Class, limit, 0, 0, limit,
                    null, null);
        }
    }
}

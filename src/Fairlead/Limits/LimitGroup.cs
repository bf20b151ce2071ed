using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>
/// The counters of one <see cref="LimitSet"/>: that of an organization, a project, a key, or an organization's calls to a model. A class
/// that has a value of its own for a limit has a counter of its own; all other classes share the general one. General budgets count all
/// classes. Not thread-safe.
/// </summary>
internal sealed class LimitGroup(LimitScope scope, string organizationId, string scopeId, string? model, long now)
{
    private readonly List<LimitCounter> _counters = [];
    private LimitSet _set = LimitSet.None;
    private long _declared;
    private volatile bool _isDropped;

    public LimitScope Scope { get; } = scope;

    /// <summary>Id of the organization, project or key; for <see cref="LimitScope.Model"/> that of the organization.</summary>
    public string ScopeId { get; } = scopeId;

    public string? Model { get; } = model;

    public IReadOnlyList<LimitCounter> Counters => _counters;

    /// <summary>Grows whenever a limit is added, and when the group is dropped.</summary>
    public int Version { get; private set; }

    /// <summary>Reservations that are not settled.</summary>
    public int Open { get; set; }

    /// <summary>Timestamp of the last reservation or settlement.</summary>
    public long UsedAt { get; set; } = now;

    /// <summary>Whether its owner has been in a snapshot of callers.</summary>
    public bool WasStored { get; set; }

    /// <summary>
    /// Whether it was dropped because nothing had used it for a long time, or its owner is gone: its counters count no more. May be read
    /// without the lock.
    /// </summary>
    public bool IsDropped => _isDropped;

    public void Drop()
    {
        _isDropped = true;
        Version++;
    }

    /// <summary>Takes what the budgets do not use out of their slices.</summary>
    public void TakeFree(List<(BudgetKey Key, long Amount)> unused)
    {
        foreach (var counter in _counters)
        {
            if (counter is BudgetAccount budget) TakeFree(budget, unused);
        }
    }

    /// <summary>
    /// Puts declared limits in force. What was used is kept. Declarations that are older than those in force are ignored.
    /// </summary>
    /// <param name="set">The limits.</param>
    /// <param name="version">Higher for those that were declared later.</param>
    /// <param name="clock">The clock of rates.</param>
    /// <param name="now">Its timestamp.</param>
    /// <param name="unused">Gets the slices of budgets whose limit has changed.</param>
    public void Apply(LimitSet set, long version, LimitClock clock, long now, List<(BudgetKey Key, long Amount)> unused)
    {
        if (version < _declared) return;
        _declared = version;
        if (ReferenceEquals(set, _set)) return;
        _set = set;
        var stale = _counters.Where(counter => counter.IsActive).ToHashSet();
        var added = false;
        Apply(set, null, set.Burst ?? 1, set.Elastic);
        foreach (var (name, own) in set.Classes) Apply(own, name, own.Burst ?? set.Burst ?? 1, own.Elastic ?? set.Elastic);
        foreach (var counter in stale)
        {
            counter.IsActive = false;
            if (counter is BudgetAccount budget) TakeFree(budget, unused);
        }
        // Calls that run already count against what was added.
        if (added) Version++;

        void Apply(LimitSet values, string? @class, decimal burst, ElasticRange? elastic)
        {
            foreach (var name in LimitSetValues.All)
            {
                if (!name.IsCounted() || values.ValueOf(name) is not { } limit) continue;
                var counter = Find(@class, name);
                if (counter is null)
                {
                    counter = Create(new LimitIdentity(Scope, organizationId, ScopeId, Model, @class, name), clock);
                    _counters.Add(counter);
                }
                added |= !counter.IsActive;
                counter.IsActive = true;
                stale.Remove(counter);
                switch (counter)
                {
                    case RateBucket bucket: bucket.Apply(limit, burst, now, elastic); break;
                    case ConcurrencyCounter concurrency: concurrency.Apply(limit, elastic); break;
                    case BudgetAccount budget when budget.Apply(limit): TakeFree(budget, unused); break;
                }
            }
        }
    }

    /// <summary>The counters that apply to calls of a class.</summary>
    public IEnumerable<LimitCounter> Of(string @class) => _counters.Where(counter => counter.IsActive
        && (counter.Identity.Class == @class
            // A budget of a class is a part of the general one, because the ledger's sums of an owner have all classes.
            || (counter.Identity.Class is null && (counter is BudgetAccount || Find(@class, counter.Name) is not { IsActive: true }))));

    public LimitCounter? Find(string? @class, LimitName name) =>
        _counters.Find(counter => counter.Name == name && counter.Identity.Class == @class);

    private static LimitCounter Create(LimitIdentity identity, LimitClock clock) => identity.Name switch
    {
        LimitName.ConcurrentGenerations => new ConcurrencyCounter(identity, clock),
        var name when name.IsRate() => new RateBucket(identity, clock),
        _ => new BudgetAccount(identity),
    };

    private static void TakeFree(BudgetAccount budget, List<(BudgetKey Key, long Amount)> unused)
    {
        foreach (var period in budget.Periods)
        {
            if (period.TakeFree() is > 0 and var amount) unused.Add((budget.KeyOf(period), amount));
        }
    }
}

using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Limits.Elastic;

namespace Fairlead.Limits;

/// <summary>
/// The groups of counters of one organization: of itself, its projects, its keys, and its calls to models. Not thread-safe:
/// <see cref="OrganizationAccounts"/> guards it.
/// </summary>
internal sealed class LimitGroups(OrganizationAccounts accounts, ElasticLevels elastic)
{
    private readonly Dictionary<(LimitScope Scope, string Id, string? Model), LimitGroup> _groups = [];
    private readonly List<(BudgetKey Key, long Amount)> _unused = [];

    private string OrganizationId => accounts.OrganizationId;

    /// <summary>Number of counters.</summary>
    public int Count => _groups.Values.Sum(group => group.Counters.Count);

    public IEnumerable<BudgetAccount> Budgets => _groups.Values.SelectMany(group => group.Counters).OfType<BudgetAccount>();

    public IEnumerable<RateBucket> Rates => _groups.Values.SelectMany(group => group.Counters).OfType<RateBucket>();

    public IEnumerable<ConcurrencyCounter> Concurrency => _groups.Values.SelectMany(group => group.Counters).OfType<ConcurrencyCounter>();

    public bool IsAtRest(LimitMoment now) =>
        _unused.Count == 0 && _groups.Values.All(group => group.Open == 0 && group.Counters.All(counter => counter.IsAtRest(now)));

    /// <summary>Puts the limits that a caller declares in force.</summary>
    public void Declare(Caller caller, LimitSet keyLimits, long now)
    {
        Apply(Of(LimitScope.Organization, OrganizationId, null, now), caller.OrganizationLimits, caller.Version, now);
        Apply(Of(LimitScope.Project, caller.ProjectId, null, now), caller.ProjectLimits, caller.Version, now);
        Apply(Of(LimitScope.Key, caller.KeyId, null, now), keyLimits, caller.Version, now);
    }

    /// <summary>The limits of the calls of a caller, which are put in force.</summary>
    public AppliedLimits Resolve(Caller caller, LimitSet keyLimits, CatalogueModel model, string @class, long now)
    {
        Declare(caller, keyLimits, now);
        var ofModel = Of(LimitScope.Model, OrganizationId, model.Id, now);
        Apply(ofModel, model.Limits, model.Version, now);
        LimitGroup[] groups =
        [
            Of(LimitScope.Organization, OrganizationId, null, now), Of(LimitScope.Project, caller.ProjectId, null, now),
            Of(LimitScope.Key, caller.KeyId, null, now), ofModel,
        ];
        var built = Build(groups, @class);
        var isElastic = built.Rates.Any(bucket => bucket.IsElastic) || built.Concurrency.Any(counter => counter.IsElastic);
        return built with
        {
            Level = isElastic ? elastic.Of(model.Id, @class) : null,
            InputPerRequest = LowestOf(caller, keyLimits, model, @class, LimitName.InputTokensPerRequest),
            OutputPerRequest = LowestOf(caller, keyLimits, model, @class, LimitName.OutputTokensPerRequest),
        };
    }

    /// <summary>The limits that apply now to a call that was accepted earlier.</summary>
    public AppliedLimits Current(TokenReservation reservation)
    {
        LimitGroup?[] groups =
        [
            Find(LimitScope.Organization, OrganizationId, null), Find(LimitScope.Project, reservation.ProjectId, null),
            Find(LimitScope.Key, reservation.KeyId, null), Find(LimitScope.Model, OrganizationId, reservation.Model),
        ];
        return Build([.. groups.OfType<LimitGroup>()], reservation.Class);
    }

    public LimitCounter? Find(LimitScope scope, string scopeId, string? model, string? @class, LimitName name) =>
        Find(scope, scopeId, model)?.Find(@class, name);

    /// <summary>Slices of budgets whose limit has changed or whose owner is gone, to be returned.</summary>
    public IReadOnlyList<(BudgetKey Key, long Amount)> TakeChanged()
    {
        if (_unused.Count == 0) return [];
        (BudgetKey, long)[] taken = [.. _unused];
        _unused.Clear();
        return taken;
    }

    /// <summary>
    /// Drops the groups that nothing has used for <paramref name="idle"/> and whose counters are at rest, and those of deleted keys. A
    /// deleted key has no further calls, so that what it has used of its own budgets is of no use.
    /// </summary>
    public void Sweep(TimeSpan idle, ICurrentCallers? callers, LimitMoment now)
    {
        foreach (var (key, group) in _groups)
        {
            if (group.Open > 0) continue;
            if (!IsDeleted(group, callers))
            {
                if (accounts.Clock.ToSpan(now.Timestamp - group.UsedAt) < idle) continue;
                if (!group.Counters.All(counter => counter.IsAtRest(now))) continue;
            }
            else if (group.Counters.OfType<BudgetAccount>().Any(budget => budget.Periods.Any(period => period.Request is not null)))
            {
                // What it gets must be returned.
                continue;
            }
            group.TakeFree(_unused);
            group.Drop();
            _groups.Remove(key);
        }
    }

    private static bool IsDeleted(LimitGroup group, ICurrentCallers? callers)
    {
        if (group.Scope != LimitScope.Key || callers?.Version is null) return false;
        var isStored = callers.Find(group.ScopeId) is not null;
        // The keys of the environment and of an app are never stored.
        group.WasStored |= isStored;
        return group.WasStored && !isStored;
    }

    private void Apply(LimitGroup group, LimitSet set, long version, long now) => group.Apply(set, version, accounts.Clock, now, _unused);

    private LimitGroup? Find(LimitScope scope, string scopeId, string? model) => _groups.GetValueOrDefault((scope, scopeId, model));

    private LimitGroup Of(LimitScope scope, string scopeId, string? model, long now)
    {
        if (_groups.TryGetValue((scope, scopeId, model), out var known)) return known;
        return _groups[(scope, scopeId, model)] = new LimitGroup(scope, OrganizationId, scopeId, model, now);
    }

    private AppliedLimits Build(LimitGroup[] groups, string @class)
    {
        var counters = groups.SelectMany(group => group.Of(@class)).ToArray();
        return new AppliedLimits
        {
            Accounts = accounts,
            Groups = groups,
            Rates = [.. counters.OfType<RateBucket>()],
            Concurrency = [.. counters.OfType<ConcurrencyCounter>()],
            Budgets = [.. counters.OfType<BudgetAccount>()],
            HasMoney = counters.Any(counter => counter.Name.IsMoney()),
            Version = groups.Sum(group => group.Version),
        };
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
}

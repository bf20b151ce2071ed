using System.Data.Common;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;

namespace Fairlead.Limits;

/// <summary>
/// Shows limits: rates and concurrency as this process counts them, budgets as the database knows them together with what this process has
/// not written yet. Thread-safe.
/// </summary>
internal sealed class LimitReader(
    LimitAccounts accounts, ICatalogue catalogue, IStorage storage, BudgetHolder holder, IConfigurationSource configuration,
    TimeProvider time) : ILimitReader
{
    /// <summary>Budgets in one statement.</summary>
    private const int MaxBudgets = 50;

    public IReadOnlyList<LimitState> OfCaller(Caller caller) => OfCaller(caller, withUnknown: false);

    public async Task<IReadOnlyList<LimitState>> OfCallerAsync(Caller caller, CancellationToken cancellationToken)
    {
        var states = OfCaller(caller, withUnknown: true);
        return await CompleteAsync([.. states.Select(state => (caller.OrganizationId, state))], cancellationToken);
    }

    public async Task<IReadOnlyList<LimitState>?> OfAsync(LimitFilter filter, CancellationToken cancellationToken)
    {
        var found = new List<(string OrganizationId, LimitState State)>();
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            if (filter.Model is { } name && catalogue.Current.Find(name) is { } model)
            {
                if (ReferenceEquals(model.Limits, LimitSet.None)) return [];
                foreach (var organization in filter.OrganizationId is { } one
                    ? [one] : await AllAsync(connection, cancellationToken))
                {
                    AddModel(organization, model);
                }
            }
            else if (filter.KeyId is { } caller && TokenKeyId.Is(caller))
            {
                // A caller with a token has the defaults, in the organization of its project. This process knows those that it has seen.
                var limits = configuration.Current.Limits.Defaults;
                foreach (var seen in accounts.Organizations.Where(one => HasSeen(one, caller, limits)))
                    Add(seen.OrganizationId, accounts.StatesOf(LimitScope.Key, seen.OrganizationId, caller, null, limits));
            }
            else if (filter.KeyId is { } keyId && await KeyTable.FindAsync(connection, keyId, cancellationToken) is { } key
                && await ProjectTable.FindAsync(connection, key.ProjectId, cancellationToken) is { } owner)
            {
                var limits = LimitDefaults.Apply(Read(key.Limits), configuration.Current.Limits.Defaults);
                Add(owner.OrganizationId, accounts.StatesOf(LimitScope.Key, owner.OrganizationId, key.Id, null, limits));
            }
            else if (filter.ProjectId is { } projectId
                && await ProjectTable.FindAsync(connection, projectId, cancellationToken) is { } project)
            {
                Add(project.OrganizationId,
                    accounts.StatesOf(LimitScope.Project, project.OrganizationId, project.Id, null, Read(project.Limits)));
            }
            else if (filter.OrganizationId is { } id && await OrganizationTable.FindAsync(connection, id, cancellationToken) is { } row)
            {
                Add(id, accounts.StatesOf(LimitScope.Organization, id, id, null, Read(row.Limits)));
                foreach (var limited in catalogue.Current.Models) AddModel(id, limited);
            }
        }
        // Before the sums of their budgets, which would take long.
        return found.Count > ILimitReader.MaxRows ? null : await CompleteAsync(found, cancellationToken);

        void Add(string organizationId, IReadOnlyList<LimitState> states) =>
            found.AddRange(states.Select(state => (organizationId, state)));

        void AddModel(string organizationId, CatalogueModel limited) => Add(organizationId,
            accounts.StatesOf(LimitScope.Model, organizationId, organizationId, limited.Id, limited.Limits));
    }

    private IReadOnlyList<LimitState> OfCaller(Caller caller, bool withUnknown)
    {
        var states = accounts.StatesOf(caller, withUnknown: withUnknown);
        List<LimitState>? all = null;
        foreach (var model in catalogue.Current.Models)
        {
            if (ReferenceEquals(model.Limits, LimitSet.None)) continue;
            (all ??= [.. states]).AddRange(accounts.StatesOf(
                LimitScope.Model, caller.OrganizationId, caller.OrganizationId, model.Id, model.Limits, withUnknown));
        }
        return all ?? states;
    }

    private static bool HasSeen(OrganizationAccounts organization, string keyId, LimitSet limits) =>
        limits.Classes.Keys.Prepend<string?>(null).Any(@class => LimitSetValues.All.Any(
            name => name.IsCounted() && organization.States.Of(LimitScope.Key, keyId, null, @class, name) is not null));

    // A stored value that cannot be read disables its keys, so nothing is counted.
    private static LimitSet Read(string? stored) => LimitSetJson.ParseOrNull(stored) ?? LimitSet.None;

    // One more than a response may have.
    private static async Task<List<string>> AllAsync(DbConnection connection, CancellationToken cancellationToken) =>
        (await OrganizationTable.ListAsync(connection, "", null, ILimitReader.MaxRows + 1, cancellationToken)).ConvertAll(row => row.Id);

    /// <summary>Puts what the database knows into the budgets.</summary>
    private async Task<IReadOnlyList<LimitState>> CompleteAsync(
        List<(string OrganizationId, LimitState State)> found, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var states = found.ConvertAll(one => one.State);
        var budgets = Enumerable.Range(0, states.Count).Where(i => states[i].Name.IsBudget()).ToArray();
        if (budgets.Length == 0) return states;
        var keys = budgets.Select(i => BudgetAccount.KeyOf(
            new LimitIdentity(states[i].Scope, found[i].OrganizationId, states[i].ScopeId, states[i].Model, states[i].Class, states[i].Name),
            now)).ToArray();
        await using var connection = await storage.OpenAsync(cancellationToken);
        for (var from = 0; from < keys.Length; from += MaxBudgets)
        {
            var some = keys[from..Math.Min(keys.Length, from + MaxBudgets)];
            // Before the database: what is settled meanwhile is then missing for a moment, and never counted twice.
            var own = Array.ConvertAll(some, accounts.UseOf);
            var sums = await BudgetSums.ReadAsync(storage, connection, holder, some, cancellationToken);
            for (var i = 0; i < some.Length; i++)
            {
                var at = budgets[from + i];
                states[at] = Complete(states[at], sums[i], own[i].Spent, own[i].Held);
            }
        }
        return states;
    }

    // What other nodes have leased and not reserved is free: they return it when a call needs it. What an earlier process of this node held
    // may turn out to be used, until its calls are in the ledger.
    private static LimitState Complete(LimitState state, in BudgetSums sums, long spent, long held)
    {
        var used = (Int128)sums.Settled + sums.WrittenOff + Math.Max(0, spent - sums.OwnSettled);
        var reserved = (Int128)held + sums.Earlier + sums.OthersReserved + sums.Jobs;
        var remaining = state.Limit - used - reserved;
        return state with { Used = Clamp(used), Reserved = Clamp(reserved), Remaining = Clamp(remaining) };
    }

    private static long Clamp(Int128 value) => value < 0 ? 0 : value > long.MaxValue ? long.MaxValue : (long)value;
}

using System.Data.Common;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Auditing.Ledger;
using Fairlead.Catalogue;
using Fairlead.Configuration;

namespace Fairlead.Limits.Thresholds;

/// <summary>
/// The budgets that count a call, with the values that are declared now. Usually from memory; the database is read for a key that the
/// snapshot of callers does not have, because it was deleted or the process has just started. Thread-safe.
/// </summary>
internal sealed class DeclaredBudgets(ICurrentCallers callers, ICatalogue catalogue, IConfigurationSource configuration)
{
    private static readonly LimitName[] Names = [.. LimitSetValues.All.Where(name => name.IsBudget())];

    /// <summary>Adds the budgets that count <paramref name="usage"/> and allow anything at all.</summary>
    /// <param name="connection">Used if the database has to be read.</param>
    /// <param name="usage">The usage.</param>
    /// <param name="scopes">Budgets of these scopes only.</param>
    /// <param name="found">Receives each budget with its limit.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public async ValueTask FindAsync(
        DbConnection connection, SettledUsage usage, IReadOnlyCollection<LimitScope> scopes, List<(BudgetKey Key, long Limit)> found,
        CancellationToken cancellationToken)
    {
        var (organization, project, key) = callers.Find(usage.KeyId) is { } caller && caller.ProjectId == usage.ProjectId
            ? (caller.OrganizationLimits, caller.ProjectLimits, caller.KeyLimits)
            : await ReadAsync(connection, usage, cancellationToken);
        Add(LimitScope.Organization, usage.OrganizationId, null, organization ?? LimitSet.None);
        Add(LimitScope.Project, usage.ProjectId, null, project ?? LimitSet.None);
        if (key is not null) Add(LimitScope.Key, usage.KeyId, null, LimitDefaults.Apply(key, configuration.Current.Limits.Defaults));
        if (catalogue.Current.Find(usage.Model) is { } model) Add(LimitScope.Model, usage.OrganizationId, model.Id, model.Limits);

        void Add(LimitScope scope, string id, string? model, LimitSet set)
        {
            if (!scopes.Contains(scope)) return;
            AddValues(scope, id, model, set, null);
            if (set.Classes.TryGetValue(usage.Class, out var own)) AddValues(scope, id, model, own, usage.Class);
        }

        void AddValues(LimitScope scope, string id, string? model, LimitSet values, string? @class)
        {
            foreach (var name in Names)
            {
                if (values.ValueOf(name) is not { } limit || limit <= 0) continue;
                var identity = new LimitIdentity(scope, usage.OrganizationId, id, model, @class, name);
                found.Add((BudgetAccount.KeyOf(identity, DateTimeOffset.FromUnixTimeMilliseconds(usage.Hour)), limit));
            }
        }
    }

    // The limits of a key are null if it was deleted: then nobody can use it.
    private static async Task<(LimitSet? Organization, LimitSet? Project, LimitSet? Key)> ReadAsync(
        DbConnection connection, SettledUsage usage, CancellationToken cancellationToken)
    {
        if (usage.KeyId.StartsWith(EnvironmentKey.KeyPrefix, StringComparison.Ordinal)
            || usage.KeyId.StartsWith(ApplicationCallers.KeyPrefix, StringComparison.Ordinal))
        {
            return (null, null, LimitSet.None);
        }
        var organization = await OrganizationTable.FindAsync(connection, usage.OrganizationId, cancellationToken);
        var project = await ProjectTable.FindAsync(connection, usage.ProjectId, cancellationToken);
        var key = await KeyTable.FindAsync(connection, usage.KeyId, cancellationToken);
        // The callers of tokens are not stored.
        var isToken = usage.KeyId.StartsWith(TokenKeyId.Prefix, StringComparison.Ordinal);
        return (Read(organization?.Limits), Read(project?.Limits), isToken ? LimitSet.None : key is null ? null : Read(key.Limits));
    }

    // A stored value that cannot be read disables its keys, so nothing is counted.
    private static LimitSet Read(string? stored) => LimitSetJson.ParseOrNull(stored) ?? LimitSet.None;
}

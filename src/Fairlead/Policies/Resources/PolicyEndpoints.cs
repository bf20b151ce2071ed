using System.Data.Common;
using System.Globalization;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Policies.Matching;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Policies.Resources;

/// <summary>
/// <c>/admin/v1/policies</c>: policies with their versions. A change is in force on this node when its response is sent, and on others
/// within two seconds. Policies of the configuration are shown and not changed. An administrator of one organization sees the policies for its
/// calls, and changes those that the installation does not manage. Thread-safe.
/// </summary>
internal sealed class PolicyEndpoints(
    IStorage storage, AccessChanges changes, PolicyBook policies, IConfigurationSource configuration, TimeProvider time,
    IAdminAudit audit, ILogger<PolicyEndpoints> logger) : IAdminEndpoints
{
    private const string Path = "/policies";

    /// <summary>Policies of one owner with the same manager: each caller has those of three owners.</summary>
    public const int MaxOfOwner = 20;

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        (read, write) = (read.OfOrganizations, write.OfOrganizations);
        read.Read(Path, ListAsync);
        read.Read(Path + "/{id}", GetAsync);
        read.Read(Path + "/{id}/versions", ListVersionsAsync);
        read.Read(Path + "/{id}/versions/{version}", GetVersionAsync);
        read.Post(Path + "/{id}/try", TryAsync);
        write.Post(Path, CreateAsync);
        write.Patch(Path + "/{id}", ChangeAsync);
        write.Delete(Path + "/{id}", DeleteAsync);
    }

    private async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var page = ListPage.Read(request, ConfiguredPolicyId.Prefix, "organization_id", "project_id", "key_id");
        var owner = new PolicyOwner(page.Filter("organization_id"), page.Filter("project_id"), page.Filter("key_id"));
        // Null for the whole installation.
        var within = request.Caller.Reach.Narrow(null);
        await using var connection = await storage.OpenAsync(request.Cancellation);
        List<OwnedPolicy> configured = [];
        foreach (var policy in PolicyBook.OfConfiguration(configuration.Current.ContentPolicy)
            .Where(policy => string.CompareOrdinal(policy.Definition.Id, page.After) > 0 && IsOf(policy.Owner, owner))
            .OrderBy(policy => policy.Definition.Id, StringComparer.Ordinal))
        {
            if (configured.Count > page.Limit) break;
            if (await PolicyReach.SeesAsync(connection, request.Caller, policy.Owner, request.Cancellation)) configured.Add(policy);
        }
        List<PolicyRow> stored = [];
        if (configured.Count <= page.Limit)
        {
            stored = await PolicyTable.ListAsync(
                connection, page.After, owner, within, page.Limit + 1 - configured.Count, request.Cancellation);
        }
        List<object> rows = [.. configured, .. stored];
        return page.ToResult(
            rows, static row => row is OwnedPolicy policy ? policy.Definition.Id : ((PolicyRow)row).Id,
            static (json, row) =>
            {
                if (row is OwnedPolicy policy) PolicyJson.Write(json, policy);
                else PolicyJson.Write(json, (PolicyRow)row);
            });
    }

    private async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        await using var connection = await storage.OpenAsync(request.Cancellation);
        if (await FindConfiguredAsync(connection, request) is { } configured)
            return EndpointResult.LargeJson(json => PolicyJson.Write(json, configured));
        var row = await FindAsync(connection, request);
        return EndpointResult.LargeJson(json => PolicyJson.Write(json, row));
    }

    private async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, PolicyFields.New);
        var name = fields.RequiredText("name", FieldLengths.Name) ?? "";
        var owner = PolicyFields.ReadOwner(fields);
        var manager = PolicyFields.ReadManager(fields);
        var rules = ReadRules(fields, isRequired: true) ?? [];

        await using var change = await changes.BeginAsync(request.Cancellation);
        await CheckOwnerAsync(change.Connection, owner, request.Caller, fields, request.Cancellation);
        fields.ThrowIfInvalid();
        RequireManager(request.Caller, manager);
        RequireFreeJudges(request.Caller, rules);
        manager ??= request.Caller.Reach.IsAll ? PolicyManager.Installation : PolicyManager.Organization;
        var storedName = await StoredNameAsync(change.Connection, name, owner, manager, "", request.Cancellation);
        if (await PolicyTable.CountAsync(change.Connection, owner, manager, request.Cancellation) >= MaxOfOwner)
        {
            throw EndpointErrors.Conflict(
                $"The owner has {MaxOfOwner} policies already.", "Add the rules to one of its policies, or delete one.");
        }
        var now = time.GetUtcNow();
        var row = new PolicyRow
        {
            Id = Ids.New(ConfiguredPolicyId.Prefix, time),
            Name = name,
            Owner = owner,
            ManagedBy = manager,
            Version = 1,
            Content = PolicyContent.Text(rules),
            CreatedAt = now,
            UpdatedAt = now,
        };
        await PolicyTable.InsertAsync(change.Connection, row, storedName, request.Cancellation);
        await PolicyTable.InsertVersionAsync(change.Connection, VersionOf(row, request.Caller), request.Cancellation);
        await RecordAsync(change.Connection, request, "create", null, row);
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
        PolicyLog.Changed(logger, "Created policy", row.Id, row.Version, request.Caller.KeyId);
        await policies.RefreshAfterChangeAsync();
        return EndpointResult.Created(request.Site, $"{AdminApi.Root}{Path}/{row.Id}", json => PolicyJson.Write(json, row));
    }

    private async Task<EndpointResult> ChangeAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, PolicyFields.Change);
        var name = fields.OptionalText("name", FieldLengths.Name);
        var manager = PolicyFields.ReadManager(fields);
        var rules = ReadRules(fields, isRequired: false);
        fields.ThrowIfInvalid();

        await using var change = await changes.BeginAsync(request.Cancellation);
        var known = await FindToChangeAsync(change.Connection, request);
        RequireManager(request.Caller, manager);
        if (rules is not null) RequireFreeJudges(request.Caller, rules);
        var row = known with
        {
            Name = name ?? known.Name,
            ManagedBy = manager ?? known.ManagedBy,
            Content = rules is null ? known.Content : PolicyContent.Text(rules),
        };
        var differs = row != known;
        if (differs)
        {
            var storedName = await StoredNameAsync(change.Connection, row.Name, row.Owner, row.ManagedBy, row.Id, request.Cancellation);
            row = row with { Version = known.Version + 1, UpdatedAt = time.GetUtcNow() };
            await PolicyTable.UpdateAsync(change.Connection, row, storedName, request.Cancellation);
            await PolicyTable.InsertVersionAsync(change.Connection, VersionOf(row, request.Caller), request.Cancellation);
            await RecordAsync(change.Connection, request, "update", known, row);
        }
        // Also when nothing changed: a client must not hold the lock while it reads its response.
        await change.CommitAsync(request.Cancellation);
        if (differs)
        {
            audit.Committed();
            PolicyLog.Changed(logger, "Changed policy", row.Id, row.Version, request.Caller.KeyId);
            await policies.RefreshAfterChangeAsync();
        }
        return EndpointResult.LargeJson(json => PolicyJson.Write(json, row));
    }

    private async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        await PolicyTable.DeleteAsync(change.Connection, row.Id, request.Cancellation);
        await RecordAsync(change.Connection, request, "delete", row, null);
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
        PolicyLog.Changed(logger, "Deleted policy", row.Id, row.Version, request.Caller.KeyId);
        await policies.RefreshAfterChangeAsync();
        return EndpointResult.NoContent();
    }

    private async Task<EndpointResult> ListVersionsAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, "limit", "before");
        var limit = query.Integer("limit", 1, ListPage.MaxLimit, ListPage.DefaultLimit);
        var before = query.Integer("before", 1, int.MaxValue, int.MaxValue);
        if (query.Error is { } error) return error;
        await using var connection = await storage.OpenAsync(request.Cancellation);
        if (await FindConfiguredAsync(connection, request) is not null) throw ReadOnly();
        await FindAsync(connection, request);
        var rows = await PolicyTable.ListVersionsAsync(connection, request.Id, before, limit + 1, request.Cancellation);
        return EndpointResult.LargeJson(json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var row in rows.Take(limit)) PolicyJson.Write(json, row);
            json.WriteEndArray();
            json.WriteOptionalNumber("next_before", rows.Count > limit ? (int)rows[limit - 1].Version : null);
            json.WriteEndObject();
        });
    }

    private async Task<EndpointResult> GetVersionAsync(EndpointRequest request)
    {
        if (!long.TryParse(request.RouteValue("version"), NumberStyles.None, CultureInfo.InvariantCulture, out var version))
            throw EndpointErrors.NotFound("version");
        await using var connection = await storage.OpenAsync(request.Cancellation);
        await FindAsync(connection, request);
        var row = await PolicyTable.FindVersionAsync(connection, request.Id, version, request.Cancellation)
            ?? throw EndpointErrors.NotFound("version");
        return EndpointResult.LargeJson(json => PolicyJson.Write(json, row));
    }

    private async Task<EndpointResult> TryAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var wanted = PolicyTrial.Read(body.RootElement);
        var definition = await DefinitionAsync(request);
        if (definition.Rules.Any(rule => rule.Model is not null))
            AdminRights.RequireSpending(request.Caller, "Trying a rule that asks a model, which the operator pays for,");
        var result = await wanted.RunAsync(definition, policies.Judge, request.Cancellation);
        return EndpointResult.LargeJson(result.Write);
    }

    private async Task<PolicyDefinition> DefinitionAsync(EndpointRequest request)
    {
        await using var connection = await storage.OpenAsync(request.Cancellation);
        if (await FindConfiguredAsync(connection, request) is { } configured) return configured.Definition;
        var row = await FindAsync(connection, request);
        return new PolicyDefinition(row.Id, row.Name, (int)row.Version, PolicyContent.Parse(row.Content));
    }

    private IReadOnlyList<PolicyRule>? ReadRules(BodyFields fields, bool isRequired)
    {
        var config = configuration.Current.ContentPolicy;
        return PolicyFields.ReadRules(fields, isRequired, new AddressRules(config.AllowedNetworks), config.AllowHttp);
    }

    private Task RecordAsync(DbConnection connection, EndpointRequest request, string verb, PolicyRow? before, PolicyRow? after) =>
        audit.RecordAsync(connection, new AdminAction(request.Actor, "policy." + verb)
        {
            ResourceType = "policy",
            ResourceId = (after ?? before)!.Id,
            OrganizationId = (after ?? before)!.Owner.OrganizationId,
            ProjectId = (after ?? before)!.Owner.ProjectId,
            Before = before is null ? null : json => PolicyJson.Write(json, before),
            After = after is null ? null : json => PolicyJson.Write(json, after),
        }, request.Cancellation);

    private static PolicyVersionRow VersionOf(PolicyRow row, Caller caller) => new()
    {
        PolicyId = row.Id,
        Version = row.Version,
        Name = row.Name,
        ManagedBy = row.ManagedBy,
        Content = row.Content,
        ChangedBy = caller.KeyId,
        ChangedByName = caller.KeyName,
        ChangedAt = row.UpdatedAt,
    };

    // What the caller does not see gets the same error as an id of nobody.
    private static async Task CheckOwnerAsync(
        DbConnection connection, PolicyOwner owner, Caller caller, BodyFields fields, CancellationToken cancellationToken)
    {
        var sees = await PolicyReach.SeesAsync(connection, caller, owner, cancellationToken);
        if (owner.OrganizationId is { } organization
            && (!sees || await OrganizationTable.FindAsync(connection, organization, cancellationToken) is null))
        {
            fields.Invalid("organization_id", "There is no organization with this id.");
        }
        if (owner.ProjectId is { } project && (!sees || await ProjectTable.FindAsync(connection, project, cancellationToken) is null))
            fields.Invalid("project_id", "There is no project with this id.");
        if (owner.KeyId is { } key && (!sees || await KeyTable.FindAsync(connection, key, cancellationToken) is null))
            fields.Invalid("key_id", "There is no key with this id.");
    }

    /// <summary>Refuses an administrator of one organization that would make a policy look like the installation's.</summary>
    private static void RequireManager(Caller caller, string? manager)
    {
        if (manager == PolicyManager.Installation) AdminRights.RequireInstallation(caller, "A policy that the installation manages");
    }

    /// <summary>Refuses rules that ask a model of this installation: the operator pays for its calls.</summary>
    private static void RequireFreeJudges(Caller caller, IReadOnlyList<PolicyRule> rules)
    {
        if (rules.Any(rule => rule.Model is not null))
            AdminRights.RequireInstallation(caller, "A rule that asks a model, which the operator pays for,");
    }

    private async Task<string> StoredNameAsync(
        DbConnection connection, string name, PolicyOwner owner, string manager, string id, CancellationToken cancellationToken)
    {
        var organization = manager == PolicyManager.Organization
            ? await PolicyReach.OrganizationOfAsync(connection, owner, cancellationToken) : null;
        var stored = PolicyTable.StoredName(name, organization);
        if ((organization is not null || !configuration.Current.ContentPolicy.Policies.ContainsKey(name))
            && !await PolicyTable.HasNameAsync(connection, stored, id, cancellationToken))
        {
            return stored;
        }
        throw EndpointErrors.Conflict("Another policy has this name.", "Choose another name; GET /admin/v1/policies lists them.");
    }

    private async ValueTask<OwnedPolicy?> FindConfiguredAsync(DbConnection connection, EndpointRequest request)
    {
        var all = PolicyBook.OfConfiguration(configuration.Current.ContentPolicy);
        return all.FirstOrDefault(policy => policy.Definition.Id == request.Id) is { } found
            && await PolicyReach.SeesAsync(connection, request.Caller, found.Owner, request.Cancellation) ? found : null;
    }

    private static bool IsOf(PolicyOwner owner, PolicyOwner wanted) =>
        (wanted.OrganizationId is null || owner.OrganizationId == wanted.OrganizationId)
        && (wanted.ProjectId is null || owner.ProjectId == wanted.ProjectId)
        && (wanted.KeyId is null || owner.KeyId == wanted.KeyId);

    private static GatewayErrorException ReadOnly() => EndpointErrors.Conflict(
        "The policy is in the configuration file, so the admin API does not change it.", "Change it in the configuration file.");

    private static async Task<PolicyRow> FindAsync(DbConnection connection, EndpointRequest request)
    {
        var row = await PolicyTable.FindAsync(connection, request.Id, request.Cancellation);
        return row is not null && await PolicyReach.SeesAsync(connection, request.Caller, row.Owner, request.Cancellation)
            ? row : throw EndpointErrors.NotFound("policy");
    }

    /// <summary>A policy that the caller may change.</summary>
    private async Task<PolicyRow> FindToChangeAsync(DbConnection connection, EndpointRequest request)
    {
        if (await FindConfiguredAsync(connection, request) is not null) throw ReadOnly();
        var row = await FindAsync(connection, request);
        if (!row.IsOfOrganization) AdminRights.RequireInstallation(request.Caller, "A policy that the installation manages");
        return row;
    }
}

using System.Data.Common;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Catalogue;
using Fairlead.Dialects;
using Fairlead.Http;
using Fairlead.Storage;

namespace Fairlead.Limits;

/// <summary>Shows limits with what is used, reserved and left: to a key its own, to an operator those of one owner. Thread-safe.</summary>
internal sealed class LimitEndpoints(ILimitReader limits, IStorage storage, ICatalogue catalogue)
{
    private const string Organization = "organization_id";
    private const string Project = "project_id";
    private const string Key = "key_id";
    private const string Model = "model";

    // The order of a response: from the key to what it shares with others.
    private static readonly LimitScope[] Scopes = [LimitScope.Key, LimitScope.Project, LimitScope.Organization, LimitScope.Model];

    public async Task<EndpointResult> OwnAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query);
        if (query.Error is { } error) return error;
        var caller = request.Caller;
        var rows = Ordered(await limits.OfCallerAsync(caller, request.Cancellation));
        return EndpointResult.LargeJson(json =>
        {
            json.WriteStartObject();
            json.WriteString("key_id", caller.KeyId);
            json.WriteString("project_id", caller.ProjectId);
            json.WriteString("organization_id", caller.OrganizationId);
            Write(json, "limits", rows, withOwner: false);
            json.WriteEndObject();
        });
    }

    public async Task<EndpointResult> AdminAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, Organization, Project, Key, Model);
        var filter = Read(query);
        if (query.Error is { } invalid) return invalid;
        filter = await ResolveAsync(filter, request.Caller.Reach, request.Cancellation);
        if (await limits.OfAsync(filter, request.Cancellation) is not { } found)
        {
            query.AddError(Model, $"The result has more than {ILimitReader.MaxRows} limits; add {Organization}.");
            return query.Error!;
        }
        var rows = Ordered(found);
        return EndpointResult.LargeJson(json =>
        {
            json.WriteStartObject();
            Write(json, "data", rows, withOwner: true);
            json.WriteEndObject();
        });
    }

    private static LimitFilter Read(QueryReader query)
    {
        var filter = new LimitFilter(query.Text(Organization), query.Text(Project), query.Text(Key), query.Text(Model));
        if (query.Error is not null) return filter;

        string?[] named =
        [
            filter.OrganizationId is null ? null : Organization, filter.ProjectId is null ? null : Project,
            filter.KeyId is null ? null : Key, filter.Model is null ? null : Model,
        ];
        var names = named.OfType<string>().ToArray();
        if (names.Length == 0)
        {
            query.AddError(Organization, $"Name the owner of the limits: one of {Organization}, {Project}, {Key}, {Model}.");
        }
        else if (names.Length > 1 && names is not [Organization, Model])
        {
            query.AddError(names[1], $"Only {Organization} and {Model} can be combined: they select the limits of an organization at a model.");
        }
        return filter;
    }

    private async Task<LimitFilter> ResolveAsync(LimitFilter filter, AdminReach reach, CancellationToken cancellationToken)
    {
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            if (filter.OrganizationId is { } organization
                && (!reach.Sees(organization) || await OrganizationTable.FindAsync(connection, organization, cancellationToken) is null))
            {
                throw EndpointErrors.NotFound("organization");
            }
            if (filter.ProjectId is { } project && !await SeesAsync(connection, project, reach, cancellationToken))
                throw EndpointErrors.NotFound("project");
            // Callers with tokens are not stored, and belong to the project that each token names.
            if (filter.KeyId is { } key && !(reach.IsAll && TokenKeyId.Is(key))
                && (await KeyTable.FindAsync(connection, key, cancellationToken) is not { } row
                    || !await SeesAsync(connection, row.ProjectId, reach, cancellationToken)))
            {
                throw EndpointErrors.NotFound("key");
            }
        }
        if (filter.Model is not null && !reach.IsAll) filter = filter with { OrganizationId = reach.Narrow(filter.OrganizationId) };
        if (filter.Model is not { } name) return filter;
        // Limits are counted by the model, whatever name a client sends.
        return filter with { Model = catalogue.Current.Find(name)?.Id ?? throw EndpointErrors.NotFound("model") };
    }

    private static async Task<bool> SeesAsync(
        DbConnection connection, string projectId, AdminReach reach, CancellationToken cancellationToken) =>
        await ProjectTable.FindAsync(connection, projectId, cancellationToken) is { } project && reach.Sees(project.OrganizationId);

    private static List<LimitState> Ordered(IReadOnlyList<LimitState> rows) =>
    [
        .. rows.OrderBy(row => Array.IndexOf(Scopes, row.Scope)).ThenBy(row => row.Model, StringComparer.Ordinal)
            .ThenBy(row => row.ScopeId, StringComparer.Ordinal).ThenBy(row => row.Name).ThenBy(row => row.Class, StringComparer.Ordinal),
    ];

    private static void Write(Utf8JsonWriter json, string name, List<LimitState> rows, bool withOwner)
    {
        json.WriteStartArray(name);
        foreach (var row in rows) LimitJson.Write(json, row, withOwner);
        json.WriteEndArray();
    }
}

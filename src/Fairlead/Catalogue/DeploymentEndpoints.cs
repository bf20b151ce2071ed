using System.Data.Common;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Catalogue.States;
using Fairlead.Http;
using Fairlead.Scheduling;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue;

/// <summary>
/// <c>GET /admin/v1/deployments</c>: every deployment of the catalogue, and those that were drained before they left it, with its limits, its
/// load and how its attempts went, as this process sees it. <c>PATCH /admin/v1/deployments/{id}</c> drains one, or makes it active again, on all nodes. Thread-safe.
/// </summary>
internal sealed class DeploymentEndpoints(
    ICatalogue catalogue, DeploymentLoads loads, IBreakerStates breakers, DeploymentStates states, DeploymentStateStore store,
    ILogger<DeploymentEndpoints> logger, IAdminAudit? audit = null) : IAdminEndpoints
{
    private const string State = "state";
    private const string Limit = "limit";
    private const string Cursor = "cursor";

    private static readonly FieldSet ChangeFields = new([State]);

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        read.Read("/deployments", request => Task.FromResult(List(request)));
        read.Read("/deployments/{id}", request => Task.FromResult(ToResult(Find(request))));
        write.Patch("/deployments/{id}", ChangeAsync);
    }

    private EndpointResult List(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, Limit, Cursor);
        var limit = query.Integer(Limit, 1, ListPage.MaxLimit, ListPage.DefaultLimit);
        var after = query.Text(Cursor);
        if (query.Error is { } error) return error;

        var rows = Rows().Where(row => after is null || string.CompareOrdinal(row.Id, after) > 0).Take(limit + 1).ToArray();
        return EndpointResult.Json(json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var row in rows.Take(limit)) Write(json, row);
            json.WriteEndArray();
            json.WriteString("next_cursor", rows.Length > limit ? rows[limit - 1].Id : null);
            json.WriteEndObject();
        });
    }

    private async Task<EndpointResult> ChangeAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, ChangeFields);
        if (!fields.HasValue(State)) fields.Missing(State);
        var state = fields.OneOf(State, DeploymentStateNames.All);
        fields.ThrowIfInvalid();

        var row = Find(request);
        Func<DbConnection, string, Task>? record = audit is null ? null : (connection, before) => audit.RecordAsync(
            connection,
            new AdminAction(request.Actor, "deployment.update")
            {
                ResourceType = "deployment", ResourceId = row.Id, Before = json => WriteState(json, before),
                After = json => WriteState(json, state!),
            },
            request.Cancellation);
        if (await store.SetAsync(row.Id, state!, request.Caller.KeyId, record, request.Cancellation))
        {
            audit?.Committed();
            CatalogueLog.StateChanged(logger, row.Id, state!, request.Caller.KeyId);
        }
        try
        {
            // Not the request's token: a client that disconnects must not delay the change on this node.
            await store.RefreshAsync(CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            // It is committed, and the next refresh applies it.
            CatalogueLog.StatesUnreadable(logger, exception);
        }
        return ToResult(row);
    }

    /// <summary>The deployment that the path names. Its name has slashes, which a path has encoded.</summary>
    private Row Find(EndpointRequest request)
    {
        // The web server decodes all but slashes.
        var name = request.Id.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        return Rows().FirstOrDefault(row => row.Id == name) ?? throw EndpointErrors.NotFound("deployment");
    }

    private EndpointResult ToResult(Row row) => EndpointResult.Json(json => Write(json, row));

    /// <summary>One row for each deployment, in the order of their names. Several models may list it.</summary>
    private IEnumerable<Row> Rows()
    {
        var rows = ListedRows().ToList();
        var known = rows.Select(row => row.Id).ToHashSet(StringComparer.Ordinal);
        // It would come back drained, and nobody could change that.
        rows.AddRange(states.Drained.Where(name => !known.Contains(name)).Select(name => new Row(name, Unlisted(name), [])));
        return rows.OrderBy(row => row.Id, StringComparer.Ordinal);
    }

    private static Deployment Unlisted(string name)
    {
        var slash = name.IndexOf('/', StringComparison.Ordinal);
        return new Deployment
        {
            Name = name,
            ProviderName = slash < 0 ? name : name[..slash],
            UpstreamModel = name[(slash + 1)..],
        };
    }

    private IEnumerable<Row> ListedRows()
    {
        var listed = from model in catalogue.Current.Models
                     from deployment in model.Deployments
                     group (model, deployment) by deployment.Name;
        foreach (var one in listed.OrderBy(one => one.Key, StringComparer.Ordinal))
        {
            // The lowest limit applies to all models.
            var lowest = one.MinBy(entry => entry.deployment.MaxConcurrency ?? int.MaxValue).deployment;
            yield return new Row(one.Key, lowest, [.. one.Select(entry => entry.model.Id).Distinct().Order(StringComparer.Ordinal)]);
        }
    }

    private void Write(Utf8JsonWriter json, Row row)
    {
        var load = loads.Of(row.Deployment);
        var statistics = load.Statistics;
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", "deployment");
        json.WriteString("provider", row.Deployment.ProviderName);
        json.WriteString("model", row.Deployment.UpstreamModel);
        json.WriteStartArray("models");
        foreach (var model in row.Models) json.WriteStringValue(model);
        json.WriteEndArray();
        json.WriteString(State, states.Of(row.Id));
        WriteNumber(json, "concurrency_limit", load.Limit);
        WriteNumber(json, "max_concurrency", row.Deployment.MaxConcurrency);
        json.WriteNumber("in_flight", load.InFlight);
        json.WriteNumber("queued", load.Queued);
        WriteBreaker(json, breakers.Find(row.Id));
        WriteMilliseconds(json, "latency_ms", statistics.HoldSeconds);
        WriteMilliseconds(json, "first_token_ms", statistics.FirstTokenSeconds);
        WriteMilliseconds(json, "time_per_token_ms", statistics.SecondsPerToken);
        json.WriteNumber("rate_limited", statistics.RateLimited);
        json.WriteNumber("server_errors", statistics.ServerErrors);
        json.WriteStartObject("provider_limits");
        WriteNumber(json, "remaining_requests", load.RequestsLeft);
        WriteNumber(json, "remaining_tokens", load.TokensLeft);
        json.WriteNumber("wait_ms", (long)Math.Ceiling(load.Held.TotalMilliseconds));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteState(Utf8JsonWriter json, string state)
    {
        json.WriteStartObject();
        json.WriteString(State, state);
        json.WriteEndObject();
    }

    private static void WriteBreaker(Utf8JsonWriter json, BreakerState breaker)
    {
        json.WriteStartObject("breaker");
        json.WriteString("state", breaker.IsOpen ? "open" : "closed");
        json.WriteTime("opened_at", breaker.OpenedAt);
        json.WriteTime("next_test_at", breaker.NextTestAt);
        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number) json.WriteNumber(name, (long)number);
        else json.WriteNull(name);
    }

    private static void WriteMilliseconds(Utf8JsonWriter json, string name, double seconds)
    {
        if (seconds > 0) json.WriteNumber(name, Math.Round(seconds * 1000, 3));
        else json.WriteNull(name);
    }

    private sealed record Row(string Id, Deployment Deployment, IReadOnlyList<string> Models);
}

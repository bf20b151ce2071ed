using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Records;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Pipeline;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Reads audit records and usage. Each read first lets the shipper catch up, so that a caller sees its own last call. Thread-safe.
/// </summary>
internal sealed class LedgerEndpoints(
    LedgerShipper shipper, AuditReader audit, UsageReader usage, ReconciliationReader reconciliation, TimeProvider time,
    IReservedAmounts? reserved = null, ContentView? contents = null, IAdminAudit? actions = null)
{
    private static readonly TimeSpan MaxCatchUp = TimeSpan.FromSeconds(2);

    public async Task<EndpointResult> AuditAsync(EndpointRequest request)
    {
        var query = AuditQuery.Read(request.Query, out var parameters);
        var hasContent = ContentView.IsAsked(parameters, request.Caller);
        if (hasContent && query.Limit > ContentView.MaxRecords)
            parameters.AddError("limit", $"Must be at most {ContentView.MaxRecords} with include=content.");
        if (parameters.Error is { } error) return error;
        query = query with { OrganizationId = request.Caller.Reach.Narrow(query.OrganizationId) };
        if (hasContent) actions?.Record(ContentView.Reading(request, query.OrganizationId));
        await shipper.CatchUpAsync(MaxCatchUp, request.Cancellation);
        var page = await audit.ReadAsync(query, request.Cancellation);
        if (hasContent && contents is not null)
            page = page with { Records = await contents.AddToAsync(page.Records, request.Cancellation) };
        return EndpointResult.LargeJson(json => Write(json, page));
    }

    public async Task<EndpointResult> ReconciliationAsync(EndpointRequest request)
    {
        var query = ReconciliationQuery.Read(request.Query, time, out var parameters);
        if (parameters.Error is { } error) return error;
        await shipper.CatchUpAsync(MaxCatchUp, request.Cancellation);
        var page = await reconciliation.ReadAsync(query, request.Cancellation);
        return EndpointResult.LargeJson(json => ReconciliationJson.Write(json, page));
    }

    public Task<EndpointResult> AdminUsageAsync(EndpointRequest request)
    {
        var query = UsageQuery.ReadAdmin(request.Query, time, out var parameters);
        query = query with { OrganizationId = request.Caller.Reach.Narrow(query.OrganizationId) };
        return UsageAsync(query, parameters, reserved, request.Cancellation);
    }

    public Task<EndpointResult> OwnUsageAsync(EndpointRequest request)
    {
        var query = UsageQuery.ReadOwn(request.Query, time, request.Caller.ProjectId, out var parameters);
        return UsageAsync(query, parameters, null, request.Cancellation);
    }

    private async Task<EndpointResult> UsageAsync(
        UsageQuery query, QueryReader parameters, IReservedAmounts? amounts, CancellationToken cancellationToken)
    {
        if (parameters.Error is { } invalid) return invalid;
        await shipper.CatchUpAsync(MaxCatchUp, cancellationToken);
        if (await usage.ReadAsync(query, cancellationToken) is { } rows)
        {
            var showsReserved = amounts is not null && ReservedUsage.Fits(query);
            if (showsReserved) rows = ReservedUsage.AddTo(rows, query, await amounts!.ReadAsync(cancellationToken));
            return EndpointResult.LargeJson(json => Write(json, query, rows, showsReserved ? 0 : null));
        }
        parameters.AddError("group_by",
            $"The result has more than {UsageReader.MaxRows} rows; choose a shorter time, a filter or fewer groups.");
        return parameters.Error!;
    }

    private static void Write(Utf8JsonWriter json, AuditPage page)
    {
        json.WriteStartObject();
        json.WriteStartArray("data");
        foreach (var record in page.Records) WriteRecord(json, record);
        json.WriteEndArray();
        json.WriteString("next_cursor", page.Next?.ToString());
        json.WriteEndObject();
    }

    /// <summary>
    /// Writes the stored text as it is, with its place in the chain: the node and the number after the id, the hashes at the end.
    /// </summary>
    internal static void WriteRecord(Utf8JsonWriter json, StoredRecord record)
    {
        using var document = JsonDocument.Parse(record.Json, RecordJson.Reading);
        json.WriteStartObject();
        var first = true;
        foreach (var member in document.RootElement.EnumerateObject())
        {
            member.WriteTo(json);
            if (!first) continue;
            first = false;
            json.WriteString("node", record.Node);
            json.WriteNumber("sequence", record.Sequence);
        }
        json.WriteString("previous_hash", Convert.ToHexStringLower(record.PreviousHash));
        json.WriteString("hash", Convert.ToHexStringLower(record.Hash));
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, UsageQuery query, IReadOnlyList<UsageRow> rows, decimal? noneReserved)
    {
        var members = query.Groups.Where(group => group.Member is not null).Select(group => group.Member!).ToArray();
        var totals = new UsageRow(query.From, query.To, []) { ReservedUsd = noneReserved };
        json.WriteStartObject();
        json.WriteStartArray("data");
        foreach (var row in rows)
        {
            totals = totals.Plus(row);
            json.WriteStartObject();
            json.WriteString("from", row.From.UtcDateTime);
            json.WriteString("to", row.To.UtcDateTime);
            json.WriteStartObject("group");
            for (var i = 0; i < members.Length; i++) json.WriteString(members[i], row.Group[i]);
            json.WriteEndObject();
            WriteSums(json, row);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartObject("totals");
        json.WriteString("from", totals.From.UtcDateTime);
        json.WriteString("to", totals.To.UtcDateTime);
        WriteSums(json, totals);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteSums(Utf8JsonWriter json, UsageRow row)
    {
        json.WriteNumber("requests", row.Requests);
        json.WriteNumber("input_tokens", row.InputTokens);
        json.WriteNumber("cached_input_tokens", row.CachedInputTokens);
        json.WriteNumber("cache_write_tokens", row.CacheWriteTokens);
        json.WriteNumber("output_tokens", row.OutputTokens);
        json.WriteNumber("reasoning_tokens", row.ReasoningTokens);
        json.WriteNumber("cost_usd", Money.Trim(row.CostUsd));
        if (row.ReservedUsd is { } reserved) json.WriteNumber("reserved_usd", Money.Trim(reserved));
    }
}

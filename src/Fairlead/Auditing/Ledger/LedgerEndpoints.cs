using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Auditing.Ledger;

/// <summary>Reads audit records and usage. Each read first lets the shipper catch up, so that a caller sees its own last call.</summary>
internal sealed class LedgerEndpoints(ICallerSource callers, LedgerShipper shipper, AuditReader audit, UsageReader usage, TimeProvider time)
{
    private static readonly TimeSpan CatchUp = TimeSpan.FromSeconds(2);

    private static readonly GatewayError Away = new(ErrorCode.StoreUnavailable,
        "The database of audit records cannot be read at the moment.") { RetryAfter = TimeSpan.FromSeconds(5) };

    public async Task AuditAsync(HttpContext context)
    {
        if (await CallerAsync(context, Scopes.AdminRead) is null) return;
        var query = AuditQuery.Read(context.Request.Query, out var parameters);
        if (parameters.Error is { } fault)
        {
            await ErrorResponses.WriteAsync(context, fault, ErrorShape.Problem);
            return;
        }
        await AnswerAsync(context, async () =>
        {
            var page = await audit.ReadAsync(query, context.RequestAborted);
            return json => Write(json, page);
        });
    }

    public async Task AdminUsageAsync(HttpContext context)
    {
        if (await CallerAsync(context, Scopes.AdminRead) is null) return;
        var query = UsageQuery.ReadAdmin(context.Request.Query, time, out var parameters);
        await UsageAsync(context, query, parameters);
    }

    public async Task OwnUsageAsync(HttpContext context)
    {
        if (await CallerAsync(context, Scopes.UsageRead) is not { } caller) return;
        var query = UsageQuery.ReadOwn(context.Request.Query, time, caller.ProjectId, out var parameters);
        await UsageAsync(context, query, parameters);
    }

    private async Task UsageAsync(HttpContext context, UsageQuery query, QueryReader parameters)
    {
        if (parameters.Error is { } fault)
        {
            await ErrorResponses.WriteAsync(context, fault, ErrorShape.Problem);
            return;
        }
        await AnswerAsync(context, async () =>
        {
            if (await usage.ReadAsync(query, context.RequestAborted) is not { } rows)
            {
                parameters.Fault("group_by",
                    $"The result has more than {UsageReader.MostRows} rows; choose a shorter time, a filter or fewer groups.");
                return null;
            }
            return json => Write(json, query, rows);
        }, parameters);
    }

    private async Task<Caller?> CallerAsync(HttpContext context, string scope)
    {
        var result = callers.Authenticate(context, scope);
        if (result.Caller is { } caller && result.Error is null) return caller;
        await ErrorResponses.WriteAsync(context, result.Error ?? new GatewayError(ErrorCode.MissingApiKey, "No API key was sent."),
            ErrorShape.Problem);
        return null;
    }

    private async Task AnswerAsync(HttpContext context, Func<Task<Action<Utf8JsonWriter>?>> read, QueryReader? parameters = null)
    {
        Action<Utf8JsonWriter>? body;
        try
        {
            await shipper.CatchUpAsync(CatchUp, context.RequestAborted);
            body = await read();
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (Exception e) when (StorageFaults.IsStoreFault(e) || e is IOException)
        {
            await ErrorResponses.WriteAsync(context, Away, ErrorShape.Problem);
            return;
        }
        if (body is null)
        {
            await ErrorResponses.WriteAsync(context, parameters!.Error!, ErrorShape.Problem);
            return;
        }
        Http.RequestIds.Of(context);
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-store";
        await using (var json = new Utf8JsonWriter(context.Response.BodyWriter, ErrorBodyWriter.WriterOptions)) body(json);
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
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

    // The stored text as it is, with the two members from the spool inserted after the id.
    private static void WriteRecord(Utf8JsonWriter json, StoredRecord record)
    {
        using var document = JsonDocument.Parse(record.Json);
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
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, UsageQuery query, IReadOnlyList<UsageRow> rows)
    {
        var members = query.Groups.Where(group => group.Member is not null).Select(group => group.Member!).ToArray();
        var totals = new UsageRow(query.From, query.To, []);
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
    }
}

using System.Globalization;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Responses;

/// <summary>What can be done with a response that is kept: read, delete, list its input. Another project's is not found.</summary>
internal sealed class StoredResponseEndpoints(ICallerSource callers, IResponseStore store, BackgroundResponses background, MemoryBudget memory)
{
    private const int MostItems = 100;

    public Task GetAsync(HttpContext context) => ServeAsync(context, async (caller, id, held) =>
    {
        // The generation first: while it runs nothing else knows of it, and what it ended with was kept before it ended.
        var body = await background.GetAsync(caller, id, held, context.RequestAborted) ?? (await store.FindAsync(caller.ProjectId, id, StoredParts.Response, held.Count, context.RequestAborted))?.Response;
        if (body is null) return (NotFound(id), null);
        if (string.Equals(context.Request.Query["stream"], "true", StringComparison.OrdinalIgnoreCase))
        {
            var (after, fault) = KeptStreams.AfterOf(context, "starting_after");
            if (fault is not null) return (fault, null);
            if (await background.StreamAsync(context, caller, id, after, held)) return (null, null);
            return (GatewayError.Invalid("stream", $"The response '{id}' was not streamed in the background: only such a one can be streamed again.") with { OpenAiCode = "invalid_value" }, null);
        }
        return (null, body);
    });

    public Task DeleteAsync(HttpContext context) => ServeAsync(context, async (caller, id, held) =>
    {
        if (await background.IsUnderWayAsync(caller, id, held, context.RequestAborted))
        {
            return (GatewayError.Invalid("id", $"The response '{id}' is still being made; cancel it first.") with { OpenAiCode = "invalid_value", Parameter = null }, null);
        }
        var stored = await store.DeleteAsync(caller.ProjectId, id, context.RequestAborted);
        if (!await background.ForgetAsync(caller, id, held, context.RequestAborted) && !stored) return (NotFound(id), null);
        return (null, Json(json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object", "response.deleted");
            json.WriteBoolean("deleted", true);
            json.WriteEndObject();
        }));
    });

    public Task CancelAsync(HttpContext context) => ServeAsync(context, async (caller, id, held) =>
    {
        if (await background.CancelAsync(caller, id, held, context.RequestAborted) is { } body) return (null, body);
        if (await store.FindAsync(caller.ProjectId, id, StoredParts.None, null, context.RequestAborted) is null) return (NotFound(id), null);
        return (GatewayError.Invalid("id", $"The response '{id}' was not made in the background: only such a one can be cancelled.") with { OpenAiCode = "invalid_value", Parameter = null }, null);
    });

    public Task InputItemsAsync(HttpContext context) => ServeAsync(context, async (caller, id, held) =>
    {
        var input = (await store.FindAsync(caller.ProjectId, id, StoredParts.Items, held.Count, context.RequestAborted))?.Input ?? await background.InputAsync(caller, id, held, context.RequestAborted);
        if (input is null) return (NotFound(id), null);
        // The page, which may be all of it.
        held.Count(input.Length);
        return Page(context, id, input);
    });

    private static (GatewayError? Error, byte[]? Body) Page(HttpContext context, string response, byte[] input)
    {
        var query = context.Request.Query;
        var limit = 20;
        if (query.TryGetValue("limit", out var text) && (!int.TryParse(text.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out limit) || limit is < 1 or > MostItems))
        {
            return (GatewayError.Invalid("limit", $"Invalid 'limit': expected an integer from 1 to {MostItems}."), null);
        }
        var order = query.TryGetValue("order", out var word) ? word.ToString() : "desc";
        if (order is not ("asc" or "desc")) return (GatewayError.Invalid("order", "Invalid value for 'order': accepted are 'asc', 'desc'."), null);

        using var document = JsonDocument.Parse(input, new JsonDocumentOptions { MaxDepth = 1024 });
        var items = document.RootElement.EnumerateArray().ToList();
        if (order == "desc") items.Reverse();
        var from = 0;
        if (query.TryGetValue("after", out var after) && after.ToString() is { Length: > 0 } id)
        {
            from = items.FindIndex(item => item.GetProperty("id").GetString() == id) + 1;
            if (from == 0) return (GatewayError.Invalid("after", $"Item with id '{Dialects.RequestFaults.Shown(id)}' not found in the input of '{response}'."), null);
        }
        var page = items.Skip(from).Take(limit).ToList();
        return (null, Json(json =>
        {
            json.WriteStartObject();
            json.WriteString("object", "list");
            json.WriteStartArray("data");
            foreach (var item in page) item.WriteTo(json);
            json.WriteEndArray();
            json.WriteString("first_id", page.Count > 0 ? page[0].GetProperty("id").GetString() : null);
            json.WriteString("last_id", page.Count > 0 ? page[^1].GetProperty("id").GetString() : null);
            json.WriteBoolean("has_more", items.Count > from + page.Count);
            json.WriteEndObject();
        }));
    }

    private async Task ServeAsync(HttpContext context, Func<Caller, string, MemoryLease, Task<(GatewayError? Error, byte[]? Body)>> answer)
    {
        RequestIds.Of(context);
        var result = callers.Authenticate(context, Scopes.Chat);
        if (result.Caller is not { } caller)
        {
            await ErrorResponses.WriteAsync(context, result.Error!, ErrorShape.OpenAi);
            return;
        }
        var id = context.GetRouteValue("id") as string ?? "";
        GatewayError? error;
        byte[]? body = null;
        using var held = new MemoryLease(memory.ShareOf(caller.KeyId));
        try
        {
            (error, body) = await answer(caller, id, held);
        }
        catch (MemoryExhaustedException exhausted) when (!context.Response.HasStarted)
        {
            error = exhausted.Error;
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception) || exception is IOException)
        {
            error = ResponseKeeper.Away;
        }
        if (error is not null)
        {
            await ErrorResponses.WriteAsync(context, error, ErrorShape.OpenAi);
            return;
        }
        // Streamed already.
        if (body is null) return;
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.ContentLength = body.Length;
        await LargeBody.WriteAsync(context.Response.BodyWriter, body, context.RequestAborted);
    }

    private static GatewayError NotFound(string id) => new(ErrorCode.NotFound, $"Response with id '{(id.Length > 100 ? id[..100] : id)}' not found.");

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        var output = new System.Buffers.ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) write(json);
        return output.WrittenSpan.ToArray();
    }
}

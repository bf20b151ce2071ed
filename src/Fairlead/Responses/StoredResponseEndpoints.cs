using System.Globalization;
using System.Text.Json;
using Fairlead.Authentication;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Responses;

/// <summary>What can be done with a response that is kept: read, delete, list its input. Another project's is not found.</summary>
internal sealed class StoredResponseEndpoints(ICallerSource callers, IResponseStore store)
{
    private const int MostItems = 100;

    public Task GetAsync(HttpContext context) => ServeAsync(context, async stored =>
    {
        if (string.Equals(context.Request.Query["stream"], "true", StringComparison.OrdinalIgnoreCase))
        {
            return (GatewayError.Invalid("stream", $"The response '{stored.Id}' was not made in the background: only such a one can be streamed again.") with { OpenAiCode = "invalid_value" }, null);
        }
        await Task.CompletedTask;
        return (null, stored.Response);
    });

    public Task DeleteAsync(HttpContext context) => ServeAsync(context, async stored =>
    {
        if (!await store.DeleteAsync(stored.ProjectId, stored.Id, context.RequestAborted)) return (NotFound(stored.Id), null);
        return (null, Json(json =>
        {
            json.WriteStartObject();
            json.WriteString("id", stored.Id);
            json.WriteString("object", "response.deleted");
            json.WriteBoolean("deleted", true);
            json.WriteEndObject();
        }));
    });

    public Task CancelAsync(HttpContext context) => ServeAsync(context, stored => Task.FromResult<(GatewayError?, byte[]?)>(
        (GatewayError.Invalid("id", $"The response '{stored.Id}' was not made in the background: only such a one can be cancelled.") with { OpenAiCode = "invalid_value", Parameter = null }, null)));

    public Task InputItemsAsync(HttpContext context) => ServeAsync(context, stored =>
    {
        var query = context.Request.Query;
        var limit = 20;
        if (query.TryGetValue("limit", out var text) && (!int.TryParse(text.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out limit) || limit is < 1 or > MostItems))
        {
            return Task.FromResult<(GatewayError?, byte[]?)>((GatewayError.Invalid("limit", $"Invalid 'limit': expected an integer from 1 to {MostItems}."), null));
        }
        var order = query.TryGetValue("order", out var word) ? word.ToString() : "desc";
        if (order is not ("asc" or "desc")) return Task.FromResult<(GatewayError?, byte[]?)>((GatewayError.Invalid("order", "Invalid value for 'order': accepted are 'asc', 'desc'."), null));

        using var document = JsonDocument.Parse(stored.Input, new JsonDocumentOptions { MaxDepth = 1024 });
        var items = document.RootElement.EnumerateArray().ToList();
        if (order == "desc") items.Reverse();
        var from = 0;
        if (query.TryGetValue("after", out var after) && after.ToString() is { Length: > 0 } id)
        {
            from = items.FindIndex(item => item.GetProperty("id").GetString() == id) + 1;
            if (from == 0) return Task.FromResult<(GatewayError?, byte[]?)>((GatewayError.Invalid("after", $"Item with id '{id}' not found in the input of '{stored.Id}'."), null));
        }
        var page = items.Skip(from).Take(limit).ToList();
        return Task.FromResult<(GatewayError?, byte[]?)>((null, Json(json =>
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
        })));
    });

    private async Task ServeAsync(HttpContext context, Func<StoredResponse, Task<(GatewayError? Error, byte[]? Body)>> answer)
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
        try
        {
            if (await store.FindAsync(caller.ProjectId, id, context.RequestAborted) is { } stored) (error, body) = await answer(stored);
            else error = NotFound(id);
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
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.ContentLength = body!.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }

    private static GatewayError NotFound(string id) => new(ErrorCode.NotFound, $"Response with id '{(id.Length > 100 ? id[..100] : id)}' not found.");

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        var output = new System.Buffers.ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) write(json);
        return output.WrittenSpan.ToArray();
    }
}

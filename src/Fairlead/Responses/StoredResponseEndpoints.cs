using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Policies.Checking;

namespace Fairlead.Responses;

/// <summary>
/// Reads, deletes and cancels stored responses, and lists their input. A response of another project is not found. Thread-safe.
/// </summary>
internal sealed class StoredResponseEndpoints(
    IResponseStore store, BackgroundResponses background, MemoryBudget memory, PlaceholderShelf shelf)
{
    private const int MaxItems = 100;

    public async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        var (caller, id, held) = (request.Caller, request.Id, Hold(request));
        // The generation first: only it knows a response that is not finished, and the stored response exists before it ends.
        var body = await background.GetAsync(caller, id, held, request.Cancellation)
            ?? (await store.FindAsync(caller.ProjectId, id, StoredParts.Response, held.Count, request.Cancellation))?.Response;
        if (body is null) return NotFound(id);
        if (!string.Equals(request.Query["stream"], "true", StringComparison.OrdinalIgnoreCase))
            return Json(shelf.FindOfResponse(id, caller.KeyId) is { } originals ? originals.Restore(body).ToArray() : body);

        var (after, error) = KeptStreams.AfterOf(request, "starting_after");
        if (error is not null) return error;
        if (await background.StreamAsync(request, id, after, held) is { } stream) return stream;
        return Invalid("stream", $"The response '{id}' cannot be streamed again: it was not created with background and stream.");
    }

    public async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        var (caller, id, held) = (request.Caller, request.Id, Hold(request));
        if (await background.IsRunningAsync(caller, id, held, request.Cancellation))
            return Invalid("id", $"The response '{id}' is still being made; cancel it first.") with { Parameter = null };
        var isDeleted = await store.DeleteAsync(caller.ProjectId, id, request.Cancellation);
        if (!await background.ForgetAsync(caller, id, held, request.Cancellation) && !isDeleted) return NotFound(id);
        return EndpointResult.Json(json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object", "response.deleted");
            json.WriteBoolean("deleted", true);
            json.WriteEndObject();
        });
    }

    public async Task<EndpointResult> CancelAsync(EndpointRequest request)
    {
        var (caller, id) = (request.Caller, request.Id);
        if (await background.CancelAsync(caller, id, Hold(request), request.Cancellation) is { } body) return Json(body);
        if (await store.FindAsync(caller.ProjectId, id, StoredParts.None, null, request.Cancellation) is null) return NotFound(id);
        return Invalid("id", $"The response '{id}' cannot be cancelled: it was not created with background.") with
        {
            Parameter = null,
        };
    }

    public async Task<EndpointResult> InputItemsAsync(EndpointRequest request)
    {
        var (caller, id, held) = (request.Caller, request.Id, Hold(request));
        var stored = await store.FindAsync(caller.ProjectId, id, StoredParts.Items, held.Count, request.Cancellation);
        var input = stored?.Input ?? await background.InputAsync(caller, id, held, request.Cancellation);
        if (input is null) return NotFound(id);
        // The page, which may be all of it.
        held.Count(input.Length);
        return Page(request, input);
    }

    private static EndpointResult Page(EndpointRequest request, byte[] input)
    {
        var query = request.Query;
        var limit = 20;
        if (query.TryGetValue("limit", out var text)
            && (!int.TryParse(text.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out limit) || limit is < 1 or > MaxItems))
        {
            return GatewayError.Invalid("limit", $"Invalid 'limit': expected an integer from 1 to {MaxItems}.");
        }
        var order = query.TryGetValue("order", out var word) ? word.ToString() : "desc";
        if (order is not ("asc" or "desc"))
            return GatewayError.Invalid("order", "Invalid value for 'order': accepted are 'asc', 'desc'.");

        using var document = JsonDocument.Parse(input, new JsonDocumentOptions { MaxDepth = 1024 });
        var items = document.RootElement.EnumerateArray().ToList();
        if (order == "desc") items.Reverse();
        var from = 0;
        if (query.TryGetValue("after", out var after) && after.ToString() is { Length: > 0 } id)
        {
            from = items.FindIndex(item => IdOf(item) == id) + 1;
            if (from == 0)
            {
                return GatewayError.Invalid("after",
                    $"Item with id '{RequestErrors.Shown(id)}' not found in the input of '{request.Id}'.");
            }
        }
        var page = items.Skip(from).Take(limit).ToList();
        var body = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(body, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("object", "list");
            json.WriteStartArray("data");
            foreach (var item in page) item.WriteTo(json);
            json.WriteEndArray();
            json.WriteString("first_id", page.Count > 0 ? IdOf(page[0]) : null);
            json.WriteString("last_id", page.Count > 0 ? IdOf(page[^1]) : null);
            json.WriteBoolean("has_more", items.Count > from + page.Count);
            json.WriteEndObject();
        }
        return Json(body.WrittenMemory);
    }

    private static string? IdOf(JsonElement item) => item.GetProperty("id").GetString();

    // Until the response is written.
    private MemoryLease Hold(EndpointRequest request) =>
        request.DisposeAfterResponse(new MemoryLease(memory.ShareOf(request.Caller.KeyId)));

    private static EndpointResult Json(ReadOnlyMemory<byte> body) => EndpointResult.Bytes("application/json", body);

    private static GatewayError Invalid(string parameter, string message) =>
        GatewayError.Invalid(parameter, message) with { OpenAiCode = "invalid_value" };

    private static GatewayError NotFound(string id) =>
        new(ErrorCode.NotFound, $"Response with id '{(id.Length > 100 ? id[..100] : id)}' not found.");
}

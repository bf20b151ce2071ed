using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary>The Responses API of OpenAI and Azure.</summary>
internal sealed class SimulatedResponsesApi : SimulatedApi
{
    private const string Path = "/responses";

    public override SimulatedRequest? Read(string provider, string path, JsonElement body) => path.EndsWith(Path, StringComparison.Ordinal)
        ? new SimulatedRequest(provider, SimulatedChatApi.ModelOf(path[..^Path.Length], body), IsTrue(body, "stream"),
            LastText(body, "input", "assistant", "content"))
        : null;

    public override JsonObject Document(string text, string model, bool hasEnd) =>
        Response(text, model, hasEnd ? "completed" : "in_progress");

    public override IEnumerable<string> Start(string model)
    {
        yield return Of("response.created", new JsonObject { ["response"] = Response(null, model, "in_progress") });
        yield return Of("response.in_progress", new JsonObject { ["response"] = Response(null, model, "in_progress") });
        yield return Of("response.output_item.added", new JsonObject { ["output_index"] = 0, ["item"] = Item(null, "in_progress") });
        yield return Of("response.content_part.added", Place(new JsonObject { ["part"] = Part("") }));
    }

    public override string Piece(string text, string model) =>
        Of("response.output_text.delta", Place(new JsonObject { ["delta"] = text, ["logprobs"] = new JsonArray() }));

    public override IEnumerable<string> End(string text, string model)
    {
        yield return Of("response.output_text.done", Place(new JsonObject { ["text"] = text, ["logprobs"] = new JsonArray() }));
        yield return Of("response.content_part.done", Place(new JsonObject { ["part"] = Part(text) }));
        yield return Of("response.output_item.done", new JsonObject { ["output_index"] = 0, ["item"] = Item(text, "completed") });
        yield return Of("response.completed", new JsonObject { ["response"] = Response(text, model, "completed") });
    }

    public override JsonObject Error(int status, string type, string message) => SimulatedChatApi.ErrorOf(type, message);

    public override JsonObject Overflow() => SimulatedChatApi.ErrorOf("invalid_request_error",
        "Your input exceeds the context window of this model. Please adjust your input and try again.", "context_length_exceeded");

    public override JsonObject ContentRejection() => SimulatedChatApi.ErrorOf("invalid_request_error",
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", "invalid_prompt");

    private static string Of(string type, JsonObject json)
    {
        json["type"] = type;
        json["sequence_number"] = 0;
        return Event(type, json);
    }

    private static JsonObject Place(JsonObject json)
    {
        json["item_id"] = "msg_simulated";
        json["output_index"] = 0;
        json["content_index"] = 0;
        return json;
    }

    private static JsonObject Part(string text) => new() { ["type"] = "output_text", ["text"] = text, ["annotations"] = new JsonArray() };

    private static JsonObject Item(string? text, string status) => new()
    {
        ["id"] = "msg_simulated",
        ["type"] = "message",
        ["status"] = status,
        ["role"] = "assistant",
        ["content"] = text is null ? new JsonArray() : new JsonArray(Part(text)),
    };

    private static JsonObject Response(string? text, string model, string status) => new()
    {
        ["id"] = "resp_simulated",
        ["object"] = "response",
        ["created_at"] = 1_700_000_000,
        ["status"] = status,
        ["error"] = null,
        ["incomplete_details"] = null,
        ["model"] = model,
        ["output"] = text is null ? new JsonArray() : new JsonArray(Item(text, status)),
        ["usage"] = text is null ? null : new JsonObject
        {
            ["input_tokens"] = SimulatedText.InputTokens,
            ["input_tokens_details"] = new JsonObject { ["cached_tokens"] = 0 },
            ["output_tokens"] = SimulatedText.OutputTokens,
            ["output_tokens_details"] = new JsonObject { ["reasoning_tokens"] = 0 },
            ["total_tokens"] = SimulatedText.InputTokens + SimulatedText.OutputTokens,
        },
    };
}

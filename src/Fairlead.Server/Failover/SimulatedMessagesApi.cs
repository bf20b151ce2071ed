using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary>The Messages API of Anthropic.</summary>
internal sealed class SimulatedMessagesApi : SimulatedApi
{
    public override SimulatedRequest? Read(string provider, string path, JsonElement body) =>
        path.EndsWith("/messages", StringComparison.Ordinal)
        ? new SimulatedRequest(provider, TextOf(body, "model"), IsTrue(body, "stream"), LastText(body, "messages", "assistant", "content"))
        : null;

    public override JsonObject Document(string text, string model, bool hasEnd)
    {
        var message = Message(model);
        message["content"] = new JsonArray(new JsonObject { ["type"] = "text", ["text"] = text });
        message["stop_reason"] = hasEnd ? "end_turn" : null;
        message["usage"] = Usage(SimulatedText.OutputTokens);
        return message;
    }

    public override IEnumerable<string> Start(string model)
    {
        yield return Of("message_start", new JsonObject { ["message"] = Message(model) });
        yield return Of("content_block_start", new JsonObject
        {
            ["index"] = 0,
            ["content_block"] = new JsonObject { ["type"] = "text", ["text"] = "" },
        });
    }

    public override string Piece(string text, string model) => Of("content_block_delta", new JsonObject
    {
        ["index"] = 0,
        ["delta"] = new JsonObject { ["type"] = "text_delta", ["text"] = text },
    });

    public override IEnumerable<string> End(string text, string model)
    {
        yield return Of("content_block_stop", new JsonObject { ["index"] = 0 });
        yield return Of("message_delta", new JsonObject
        {
            ["delta"] = new JsonObject { ["stop_reason"] = "end_turn", ["stop_sequence"] = null },
            ["usage"] = new JsonObject { ["output_tokens"] = SimulatedText.OutputTokens },
        });
        yield return Of("message_stop", []);
    }

    public override JsonObject Error(int status, string type, string message) => new()
    {
        ["type"] = "error",
        ["error"] = new JsonObject
        {
            ["type"] = status switch
            {
                429 => "rate_limit_error",
                503 or 529 => "overloaded_error",
                >= 500 => "api_error",
                _ => type,
            },
            ["message"] = message,
        },
    };

    public override JsonObject Overflow() => Error(400, "invalid_request_error", "prompt is too long: 209000 tokens > 200000 maximum");

    public override JsonObject ContentRejection() =>
        Error(400, "invalid_request_error", "Output blocked by content filtering policy");

    private static string Of(string type, JsonObject json)
    {
        json["type"] = type;
        return Event(type, json);
    }

    private static JsonObject Message(string model) => new()
    {
        ["id"] = "msg_simulated",
        ["type"] = "message",
        ["role"] = "assistant",
        ["model"] = model,
        ["content"] = new JsonArray(),
        ["stop_reason"] = null,
        ["stop_sequence"] = null,
        ["usage"] = Usage(1),
    };

    private static JsonObject Usage(int output) => new() { ["input_tokens"] = SimulatedText.InputTokens, ["output_tokens"] = output };
}

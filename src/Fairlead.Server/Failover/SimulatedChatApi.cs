using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary>Chat completions of OpenAI, of Azure, and of all servers with this API.</summary>
internal sealed class SimulatedChatApi : SimulatedApi
{
    private const string Path = "/chat/completions";

    public override SimulatedRequest? Read(string provider, string path, JsonElement body)
    {
        if (!path.EndsWith(Path, StringComparison.Ordinal)) return null;
        return new SimulatedRequest(provider, ModelOf(path[..^Path.Length], body), IsTrue(body, "stream"),
            LastText(body, "messages", "assistant", "content"));
    }

    public override JsonObject Document(string text, string model, bool hasEnd) => new()
    {
        ["id"] = "chatcmpl-simulated",
        ["object"] = "chat.completion",
        ["created"] = 1_700_000_000,
        ["model"] = model,
        ["choices"] = new JsonArray(new JsonObject
        {
            ["index"] = 0,
            ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = text, ["refusal"] = null },
            ["logprobs"] = null,
            ["finish_reason"] = hasEnd ? "stop" : null,
        }),
        ["usage"] = Usage(),
    };

    public override IEnumerable<string> Start(string model) =>
        [Data(Chunk(model, new JsonObject { ["role"] = "assistant", ["content"] = "" }, null))];

    public override string Piece(string text, string model) => Data(Chunk(model, new JsonObject { ["content"] = text }, null));

    public override IEnumerable<string> End(string text, string model)
    {
        yield return Data(Chunk(model, [], "stop"));
        var usage = Chunk(model, [], null);
        usage["choices"] = new JsonArray();
        usage["usage"] = Usage();
        yield return Data(usage);
        yield return "data: [DONE]\n\n";
    }

    public override JsonObject Error(int status, string type, string message) => ErrorOf(type, message);

    public override JsonObject Overflow() => ErrorOf("invalid_request_error",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", "context_length_exceeded");

    public override JsonObject ContentRejection() => ErrorOf("invalid_request_error",
        "The response was filtered due to the prompt triggering the content management policy.", "content_filter");

    /// <summary>An error in OpenAI's form.</summary>
    public static JsonObject ErrorOf(string type, string message, string? code = null) => new()
    {
        ["error"] = new JsonObject { ["message"] = message, ["type"] = type, ["param"] = null, ["code"] = code },
    };

    /// <summary>The model of the body; of the path where that names a deployment of Azure.</summary>
    public static string ModelOf(string path, JsonElement body)
    {
        var at = path.IndexOf("/deployments/", StringComparison.Ordinal);
        return at < 0 ? TextOf(body, "model") : Uri.UnescapeDataString(path[(at + "/deployments/".Length)..]);
    }

    private static JsonObject Usage() => new()
    {
        ["prompt_tokens"] = SimulatedText.InputTokens,
        ["completion_tokens"] = SimulatedText.OutputTokens,
        ["total_tokens"] = SimulatedText.InputTokens + SimulatedText.OutputTokens,
    };

    private static JsonObject Chunk(string model, JsonObject delta, string? finish) => new()
    {
        ["id"] = "chatcmpl-simulated",
        ["object"] = "chat.completion.chunk",
        ["created"] = 1_700_000_000,
        ["model"] = model,
        ["choices"] = new JsonArray(new JsonObject { ["index"] = 0, ["delta"] = delta, ["finish_reason"] = finish }),
    };
}

using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary>The Gemini API of Google.</summary>
internal sealed class SimulatedGeminiApi : SimulatedApi
{
    private const string Models = "/models/";

    public override SimulatedRequest? Read(string provider, string path, JsonElement body)
    {
        var at = path.LastIndexOf(Models, StringComparison.Ordinal);
        var colon = path.LastIndexOf(':');
        if (at < 0 || colon < at) return null;
        var model = Uri.UnescapeDataString(path[(at + Models.Length)..colon]);
        return path[(colon + 1)..] switch
        {
            "generateContent" => new SimulatedRequest(provider, model, false, LastText(body, "contents", "model", "parts")),
            "streamGenerateContent" => new SimulatedRequest(provider, model, true, LastText(body, "contents", "model", "parts")),
            _ => null,
        };
    }

    public override JsonObject Document(string text, string model, bool hasEnd) => Chunk(text, model, hasEnd);

    public override IEnumerable<string> Start(string model) => [];

    public override string Piece(string text, string model) => Data(Chunk(text, model, isEnd: false));

    public override IEnumerable<string> End(string text, string model) => [Data(Chunk("", model, isEnd: true))];

    public override JsonObject Error(int status, string type, string message) => new()
    {
        ["error"] = new JsonObject
        {
            ["code"] = status,
            ["message"] = message,
            ["status"] = status switch
            {
                429 => "RESOURCE_EXHAUSTED",
                503 => "UNAVAILABLE",
                >= 500 => "INTERNAL",
                _ => "INVALID_ARGUMENT",
            },
        },
    };

    public override JsonObject Overflow() =>
        Error(400, "", "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).");

    public override JsonObject ContentRejection() => new()
    {
        ["promptFeedback"] = new JsonObject { ["blockReason"] = "PROHIBITED_CONTENT" },
        ["usageMetadata"] = new JsonObject
        {
            ["promptTokenCount"] = SimulatedText.InputTokens,
            ["totalTokenCount"] = SimulatedText.InputTokens,
        },
    };

    private static JsonObject Chunk(string text, string model, bool isEnd)
    {
        var candidate = new JsonObject
        {
            ["content"] = new JsonObject { ["role"] = "model", ["parts"] = new JsonArray(new JsonObject { ["text"] = text }) },
            ["index"] = 0,
        };
        if (isEnd) candidate["finishReason"] = "STOP";
        var chunk = new JsonObject { ["candidates"] = new JsonArray(candidate), ["modelVersion"] = model };
        if (isEnd)
        {
            chunk["usageMetadata"] = new JsonObject
            {
                ["promptTokenCount"] = SimulatedText.InputTokens,
                ["candidatesTokenCount"] = SimulatedText.OutputTokens,
                ["totalTokenCount"] = SimulatedText.InputTokens + SimulatedText.OutputTokens,
            };
        }
        return chunk;
    }
}

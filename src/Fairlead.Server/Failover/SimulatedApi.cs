using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary>The API of a kind of provider, as its simulation speaks it. Immutable; thread-safe.</summary>
internal abstract class SimulatedApi
{
    /// <summary>All of them. The path of a request tells which one is meant.</summary>
    public static readonly IReadOnlyList<SimulatedApi> All =
        [new SimulatedChatApi(), new SimulatedResponsesApi(), new SimulatedMessagesApi(), new SimulatedGeminiApi()];

    /// <summary>Reads a request; null if it is of another API.</summary>
    /// <param name="provider">Name of the provider.</param>
    /// <param name="path">Path at the provider.</param>
    /// <param name="body">The body.</param>
    public abstract SimulatedRequest? Read(string provider, string path, JsonElement body);

    /// <summary>A whole response.</summary>
    /// <param name="text">Its text.</param>
    /// <param name="model">The model that it names.</param>
    /// <param name="hasEnd">Whether it states that it is complete.</param>
    public abstract JsonObject Document(string text, string model, bool hasEnd);

    /// <summary>The events before the text.</summary>
    public abstract IEnumerable<string> Start(string model);

    /// <summary>The event of a fragment of the text.</summary>
    public abstract string Piece(string text, string model);

    /// <summary>The events after the text.</summary>
    public abstract IEnumerable<string> End(string text, string model);

    /// <summary>The body of an error.</summary>
    /// <param name="status">Its status.</param>
    /// <param name="type">Its type or code.</param>
    /// <param name="message">Its text.</param>
    public abstract JsonObject Error(int status, string type, string message);

    /// <summary>The error of a request that does not fit the context window.</summary>
    public abstract JsonObject Overflow();

    /// <summary>The error of a request that the content policy rejects.</summary>
    public abstract JsonObject ContentRejection();

    /// <summary>The error of a request that continues a text of the assistant.</summary>
    public virtual JsonObject PrefillRefusal() =>
        Error(400, "invalid_request_error",
            "This model does not support assistant message prefill. The conversation must end with a user message.");

    protected static string Data(JsonNode json) => $"data: {json.ToJsonString()}\n\n";

    protected static string Event(string name, JsonNode json) => $"event: {name}\ndata: {json.ToJsonString()}\n\n";

    protected static string TextOf(JsonElement body, string name) =>
        body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    protected static bool IsTrue(JsonElement body, string name) =>
        body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;

    /// <summary>The text of the last entry of a list, if it is of this role.</summary>
    protected static string? LastText(JsonElement body, string list, string role, string content)
    {
        if (!body.TryGetProperty(list, out var entries) || entries.ValueKind != JsonValueKind.Array || entries.GetArrayLength() == 0)
            return null;
        var last = entries[entries.GetArrayLength() - 1];
        if (last.ValueKind != JsonValueKind.Object || TextOf(last, "role") != role || !last.TryGetProperty(content, out var parts))
            return null;
        if (parts.ValueKind == JsonValueKind.String) return parts.GetString();
        return parts.ValueKind == JsonValueKind.Array ? string.Concat(parts.EnumerateArray().Select(part => TextOf(part, "text"))) : null;
    }
}

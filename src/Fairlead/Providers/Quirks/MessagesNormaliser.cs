using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;

namespace Fairlead.Providers.Quirks;

/// <summary>Makes what servers of Anthropic's interface send into what Anthropic itself sends, for the native and the translating path alike.</summary>
internal static class MessagesNormaliser
{
    /// <summary>What is announced: tools only where there are calls, and always where there are.</summary>
    public static FinishMeaning Fit(FinishMeaning meaning, bool hasCalls) => meaning switch
    {
        FinishMeaning.ToolCalls when !hasCalls => FinishMeaning.Stop,
        FinishMeaning.Stop when hasCalls => FinishMeaning.ToolCalls,
        _ => meaning,
    };

    /// <summary>The same event with the index of its block; null where it cannot be written again.</summary>
    public static byte[]? WithIndex(ReadOnlySpan<byte> json, int index) => Rewrite(json, root => root["index"] = index);

    /// <summary>The same body with whole calls: an id and an object of arguments in each; null where it cannot be written again.</summary>
    public static byte[]? WithWholeCalls(ReadOnlySpan<byte> json) => Rewrite(json, static root =>
    {
        var content = (JsonArray)root["content"]!;
        for (var i = 0; i < content.Count; i++)
        {
            if (content[i] is not JsonObject block || block["type"] is not JsonValue type || !type.TryGetValue<string>(out var kind) || kind != "tool_use") continue;
            if (block["id"] is not JsonValue id || !id.TryGetValue<string>(out var given) || given.Length == 0) block["id"] = $"toolu_{i}";
            if (block["input"] is JsonObject) continue;
            block["input"] = block["input"] is JsonValue value && value.TryGetValue<string>(out var text) ? ObjectOf(text) : new JsonObject();
        }
    });

    private static JsonObject ObjectOf(string text)
    {
        try
        {
            if (JsonNode.Parse(text) is JsonObject parsed) return parsed;
        }
        catch (JsonException)
        {
            // Below: nothing of it is lost.
        }
        return text.Length == 0 ? [] : new JsonObject { ["invalid_arguments"] = text };
    }

    private static byte[]? Rewrite(ReadOnlySpan<byte> json, Action<JsonObject> change)
    {
        try
        {
            if (JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { MaxDepth = 512 }) is not JsonObject root) return null;
            change(root);
            var output = new ArrayBufferWriter<byte>(json.Length + 32);
            using (var writer = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) root.WriteTo(writer);
            return output.WrittenSpan.ToArray();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>The same event or body with Anthropic's own word for why it ended; null where it cannot be written again.</summary>
    /// <param name="json">A message, or the event <c>message_delta</c>.</param>
    /// <param name="meaning">What the reason means; a failure becomes null.</param>
    public static byte[]? WithReason(ReadOnlySpan<byte> json, FinishMeaning meaning) => Rewrite(json, root =>
    {
        var owner = root["delta"] as JsonObject ?? root;
        var sequence = owner["stop_sequence"] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
        owner["stop_reason"] = FinishWords.ToReason(meaning) is { } reason ? StopReasons.Write(reason, sequence) : null;
    });
}

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

    /// <summary>The same event or body with Anthropic's own word for why it ended; null where it cannot be written again.</summary>
    /// <param name="json">A message, or the event <c>message_delta</c>.</param>
    /// <param name="meaning">What the reason means; a failure becomes null.</param>
    public static byte[]? WithReason(ReadOnlySpan<byte> json, FinishMeaning meaning)
    {
        try
        {
            if (JsonNode.Parse(json) is not JsonObject root) return null;
            var owner = root["delta"] as JsonObject ?? root;
            var sequence = owner["stop_sequence"] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
            owner["stop_reason"] = FinishWords.ToReason(meaning) is { } reason ? StopReasons.Write(reason, sequence) : null;
            var output = new ArrayBufferWriter<byte>(json.Length + 32);
            using (var writer = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) root.WriteTo(writer);
            return output.WrittenSpan.ToArray();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }
}

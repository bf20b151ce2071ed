using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;
using Fairlead.TokenCounting;
using static Fairlead.Dialects.Quirks.QuirkJson;

namespace Fairlead.Dialects.Quirks;

/// <summary>
/// Converts responses of servers with Anthropic's API to what Anthropic itself sends, for the native and the translating path.
/// </summary>
internal static class MessagesNormaliser
{
    /// <summary>The stop reason must match the content: tool_use if and only if there are calls.</summary>
    public static FinishMeaning Fit(FinishMeaning meaning, bool hasCalls) => meaning switch
    {
        FinishMeaning.ToolCalls when !hasCalls => FinishMeaning.Stop,
        FinishMeaning.Stop when hasCalls => FinishMeaning.ToolCalls,
        _ => meaning,
    };

    /// <summary>A whole body as Anthropic sends it; null without a quirk, and for a body that is not a message.</summary>
    public static byte[]? RepairWhole(ReadOnlySpan<byte> body, OutputMeter meter)
    {
        try
        {
            if (Parse(body) is not { } message || (Text(message["type"]) is { Length: > 0 } type && type != "message")
                || message["error"] is JsonObject)
            {
                return null;
            }
            return RepairWhole(message, meter) ? Bytes(message) : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Duplicate members or strings that are not text: forwarded unchanged.
            return null;
        }
    }

    private static bool RepairWhole(JsonObject message, OutputMeter meter)
    {
        var changed = false;
        if (message["content"] is not JsonArray content)
        {
            var single = message["content"];
            // An object without content is not a message.
            if (single is null) return false;
            message.Remove("content");
            message["content"] = content = single is JsonObject block
                ? [block]
                : [new JsonObject { ["type"] = "text", ["text"] = AsText(single) }];
            changed = true;
        }
        var kept = new List<JsonNode>(content.Count);
        for (var i = 0; i < content.Count; i++)
        {
            var block = content[i] as JsonObject ?? (Text(content[i]) is { } text ? new JsonObject { ["type"] = "text", ["text"] = text }
                : null);
            var isKept = block is not null && block == content[i];
            changed |= !isKept;
            if (block is null) continue;
            changed |= Block(block, i);
            // A client cannot run a call without a name.
            if (Text(block["type"]) == "tool_use" && Text(block["name"]) is not { Length: > 0 })
            {
                changed = true;
                meter.SkippedEvents++;
                continue;
            }
            kept.Add(block);
        }
        if (changed)
        {
            // All at once: single removals would move all others each time.
            content.Clear();
            foreach (var block in kept) content.Add(block);
        }
        changed |= Frame(message);
        // The document itself is complete.
        if (FinishReasonTable.Of(Text(message["stop_reason"])) != FinishMeaning.None) return changed;
        message["stop_reason"] = "end_turn";
        return true;
    }

    /// <summary>The members around the content of a message.</summary>
    public static bool Frame(JsonObject message)
    {
        var changed = Put(message, "type", "message") | Put(message, "role", "assistant");
        if (Text(message["id"]) is not { Length: > 0 })
        {
            message["id"] = Number(message["id"])?.ToString(CultureInfo.InvariantCulture) ?? "msg_" + Guid.NewGuid().ToString("N");
            changed = true;
        }
        if (Text(message["model"]) is null) changed |= Put(message, "model", "");
        if (message["content"] is null)
        {
            message["content"] = new JsonArray();
            changed = true;
        }
        if (message["usage"] is JsonObject) return changed;
        message["usage"] = new JsonObject { ["input_tokens"] = 0, ["output_tokens"] = 0 };
        return true;
    }

    /// <summary>One content block: adds a known type, and text or a complete call.</summary>
    /// <param name="block">The block.</param>
    /// <param name="index">Its position, from which ids are derived.</param>
    public static bool Block(JsonObject block, int index)
    {
        var changed = false;
        if (Text(block["type"]) is not { Length: > 0 } type)
        {
            type = block.ContainsKey("name") || block.ContainsKey("input") ? "tool_use"
                : block.ContainsKey("thinking") ? "thinking"
                : "text";
            changed = Put(block, "type", type);
        }
        switch (type)
        {
            case "text" or "thinking" when Text(block[type]) is null:
                block[type] = AsText(block[type]);
                return true;
            case "tool_use":
                if (Text(block["id"]) is not { Length: > 0 })
                {
                    block["id"] = Number(block["id"])?.ToString(CultureInfo.InvariantCulture)
                        ?? string.Create(CultureInfo.InvariantCulture, $"toolu_{index}");
                    changed = true;
                }
                if (block["input"] is JsonObject) return changed;
                block["input"] = Text(block["input"]) is { } text ? ObjectOf(text) : new JsonObject();
                return true;
            default:
                return changed;
        }
    }

    /// <summary>Whether an event has the stop reason of the message.</summary>
    public static bool HasReason(ReadOnlySpan<byte> json)
    {
        try
        {
            return Parse(json)?["delta"] is JsonObject delta && FinishReasonTable.Of(Text(delta["stop_reason"])) != FinishMeaning.None;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return false;
        }
    }

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

    /// <summary>The same event or body with Anthropic's own stop reason; null if it cannot be rewritten.</summary>
    /// <param name="json">A message, or the event <c>message_delta</c>.</param>
    /// <param name="meaning">The meaning of the reason; a failure becomes null.</param>
    public static byte[]? WithReason(ReadOnlySpan<byte> json, FinishMeaning meaning) => Rewrite(json, root =>
    {
        var owner = root["delta"] as JsonObject ?? root;
        var sequence = owner["stop_sequence"] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
        owner["stop_reason"] = FinishReasonTable.ToReason(meaning) is { } reason ? StopReasons.Write(reason, sequence) : null;
    });
}

using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;
using Fairlead.TokenCounting;
using static Fairlead.Providers.Quirks.QuirkJson;

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

    /// <summary>A whole body as Anthropic sends it; null where nothing is odd, and for what is no message.</summary>
    public static byte[]? RepairWhole(ReadOnlySpan<byte> body, AnswerMeter meter)
    {
        try
        {
            if (Parse(body) is not { } message || (Text(message["type"]) is { Length: > 0 } type && type != "message") || message["error"] is JsonObject) return null;
            return RepairWhole(message, meter) ? Bytes(message) : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Members that stand twice or strings that are no text: it goes on as it came.
            return null;
        }
    }

    private static bool RepairWhole(JsonObject message, AnswerMeter meter)
    {
        var changed = false;
        if (message["content"] is not JsonArray content)
        {
            var single = message["content"];
            // Something without content is no message.
            if (single is null) return false;
            message.Remove("content");
            message["content"] = content = single is JsonObject block ? [block] : [new JsonObject { ["type"] = "text", ["text"] = AsText(single) }];
            changed = true;
        }
        var kept = new List<JsonNode>(content.Count);
        for (var i = 0; i < content.Count; i++)
        {
            var block = content[i] as JsonObject ?? (Text(content[i]) is { } text ? new JsonObject { ["type"] = "text", ["text"] = text } : null);
            var isKept = block is not null && block == content[i];
            changed |= !isKept;
            if (block is null) continue;
            changed |= Block(block, i);
            // Nobody could run a call without a name.
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
            // At once: taking them out one by one would move all others each time.
            content.Clear();
            foreach (var block in kept) content.Add(block);
        }
        changed |= Frame(message);
        // The document itself is complete.
        if (FinishWords.Of(Text(message["stop_reason"])) != FinishMeaning.None) return changed;
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

    /// <summary>One block of content: a known type, and text or a whole call in it.</summary>
    /// <param name="block">The block.</param>
    /// <param name="index">Its place, from which ids are made.</param>
    public static bool Block(JsonObject block, int index)
    {
        var changed = false;
        if (Text(block["type"]) is not { Length: > 0 } type)
        {
            type = block.ContainsKey("name") || block.ContainsKey("input") ? "tool_use" : block.ContainsKey("thinking") ? "thinking" : "text";
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
                    block["id"] = Number(block["id"])?.ToString(CultureInfo.InvariantCulture) ?? string.Create(CultureInfo.InvariantCulture, $"toolu_{index}");
                    changed = true;
                }
                if (block["input"] is JsonObject) return changed;
                block["input"] = Text(block["input"]) is { } text ? ObjectOf(text) : new JsonObject();
                return true;
            default:
                return changed;
        }
    }

    /// <summary>Whether an event tells why the message ended.</summary>
    public static bool HasReason(ReadOnlySpan<byte> json)
    {
        try
        {
            return Parse(json)?["delta"] is JsonObject delta && FinishWords.Of(Text(delta["stop_reason"])) != FinishMeaning.None;
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

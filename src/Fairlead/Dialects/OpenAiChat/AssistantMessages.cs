using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// Changes an assistant message of one server so that the next server accepts it. Servers may reject messages of other servers, and even
/// their own.
/// </summary>
internal static class AssistantMessages
{
    // The members of an assistant message that OpenAI's own servers accept; they reject everything else.
    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "role", "content", "name", "refusal", "audio", "tool_calls", "function_call", "annotations",
    };

    private static readonly HashSet<string> KnownInCall = new(StringComparer.Ordinal) { "id", "type", "function", "custom" };

    /// <param name="message">The message's bytes.</param>
    /// <param name="isStrict">Whether the server rejects unknown members and parts.</param>
    /// <returns>Null when it needs no change.</returns>
    public static byte[]? Repair(ReadOnlySpan<byte> message, bool isStrict)
    {
        try
        {
            if (JsonNode.Parse(message, documentOptions: new JsonDocumentOptions { MaxDepth = 1024 }) is not JsonObject root) return null;
            var changed = Loose(root);
            if (isStrict) changed |= Foreign(root);
            // The removed member may have held the content.
            if (!HasContent(root) && !HasCalls(root) && !(root["refusal"] is JsonValue) && root["audio"] is not JsonObject)
            {
                root["content"] = "";
                changed = true;
            }
            if (!changed) return null;
            var output = new System.Buffers.ArrayBufferWriter<byte>(message.Length + 32);
            using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) root.WriteTo(json);
            return output.WrittenSpan.ToArray();
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or JsonException)
        {
            // A duplicate member, or half a character: the server validates it.
            return null;
        }
    }

    private static bool HasContent(JsonObject root) => root["content"] is JsonValue or JsonArray { Count: > 0 };

    private static bool HasCalls(JsonObject root) => root["tool_calls"] is JsonArray { Count: > 0 } || root["function_call"] is JsonObject;

    private static bool Loose(JsonObject root)
    {
        var changed = false;
        if (root.TryGetPropertyValue("tool_calls", out var calls) && calls is not JsonArray { Count: > 0 })
        {
            changed |= root.Remove("tool_calls");
        }
        if (root.TryGetPropertyValue("function_call", out var legacy) && legacy is null) changed |= root.Remove("function_call");
        if (root["content"] is JsonArray { Count: 0 })
        {
            root["content"] = null;
            changed = true;
        }
        foreach (var call in (calls as JsonArray ?? []).OfType<JsonObject>())
        {
            if (call["type"] is null && (call["function"] ?? call["custom"]) is not null)
            {
                call["type"] = call["function"] is not null ? "function" : "custom";
                changed = true;
            }
            if (call["function"] is JsonObject function) changed |= Arguments(function, "arguments");
            if (call["custom"] is JsonObject custom) changed |= Arguments(custom, "input");
        }
        if (legacy is JsonObject called) changed |= Arguments(called, "arguments");
        return changed;
    }

    private static bool Arguments(JsonObject call, string name)
    {
        if (!call.TryGetPropertyValue(name, out var arguments) || arguments is JsonValue) return false;
        call[name] = arguments is null ? name == "input" ? "" : "{}" : arguments.ToJsonString();
        return true;
    }

    private static bool Foreign(JsonObject root)
    {
        var changed = false;
        foreach (var name in root.Select(member => member.Key).Where(name => !Known.Contains(name)).ToList()) changed |= root.Remove(name);
        if (root["audio"] is JsonObject audio)
        {
            var id = audio["id"]?.DeepClone();
            // Audio of another server is replaced by its transcript.
            if (id is null && audio["transcript"] is JsonValue words && !HasContent(root)) root["content"] = words.DeepClone();
            if (id is null || audio.Count > 1) changed = true;
            if (id is null) root.Remove("audio");
            else root["audio"] = new JsonObject { ["id"] = id };
        }
        foreach (var call in (root["tool_calls"] as JsonArray ?? []).OfType<JsonObject>())
        {
            foreach (var name in call.Select(member => member.Key).Where(name => !KnownInCall.Contains(name)).ToList())
            {
                changed |= call.Remove(name);
            }
        }
        return root["content"] is JsonArray parts ? Parts(root, parts) || changed : changed;
    }

    private static bool Parts(JsonObject root, JsonArray parts)
    {
        var kept = new JsonArray();
        var changed = false;
        foreach (var part in parts)
        {
            var type = (part as JsonObject)?["type"] is JsonValue word && word.TryGetValue<string>(out var text) ? text : null;
            if (type is "text" or "refusal")
            {
                kept.Add(part!.DeepClone());
            }
            else
            {
                changed = true;
                // A text under another name; anything else cannot be represented there.
                if (type is "output_text" && part!["text"] is JsonValue said)
                {
                    kept.Add(new JsonObject { ["type"] = "text", ["text"] = said.DeepClone() });
                }
            }
        }
        if (changed) root["content"] = kept.Count == 0 ? null : kept;
        return changed;
    }
}

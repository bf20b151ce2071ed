using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Whether a Responses request means the same after its translation. Only fields are allowed whose meaning the canonical form expresses, so
/// a newer field of the API makes a request one that is not translated.
/// </summary>
internal static class LosslessResponses
{
    /// <summary>In time linear in the body's length.</summary>
    public static bool Allows(GatewayCall call)
    {
        // Reasoning items return to the provider that made them, in its own form.
        if (call.Model.Capabilities.Reasoning || call.Facts.Responses is not { History: null or { Count: 0 }, PreviousResponseId: null }) return false;
        try
        {
            using var document = JsonDocument.Parse(call.Body.WrittenMemory, new JsonDocumentOptions { MaxDepth = 1024 });
            return Root(document.RootElement);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool Root(JsonElement root)
    {
        foreach (var member in root.EnumerateObject())
        {
            var value = member.Value;
            var isKnown = member.Name switch
            {
                "model" or "instructions" or "max_output_tokens" or "temperature" or "top_p" or "parallel_tool_calls" or "stream" or "store"
                    or "metadata" or "user" or "safety_identifier" or "prompt_cache_key" or "fairlead" => true,
                // Without an effect at these values.
                "truncation" => IsNull(value) || Is(value, "disabled"),
                "include" => IsNull(value) || value is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() == 0,
                "presence_penalty" or "frequency_penalty" => IsNull(value) || value.GetDouble() == 0,
                "background" => IsNull(value) || value.ValueKind == JsonValueKind.False,
                "previous_response_id" or "conversation" or "prompt" or "reasoning" or "stream_options" or "max_tool_calls" or "top_logprobs"
                    or "context_management" or "service_tier" => IsNull(value),
                "text" => IsNull(value) || Members(value, static (name, format) => name == "format" && Format(format)),
                "tools" => IsNull(value) || All(value, static tool => Is(tool, "type", "function")
                    && Members(tool, static (name, _) => name is "type" or "name" or "description" or "parameters" or "strict")),
                "tool_choice" => value.ValueKind is JsonValueKind.String or JsonValueKind.Null || Is(value, "type", "function")
                    && Members(value, static (name, _) => name is "type" or "name"),
                "input" => value.ValueKind == JsonValueKind.String || All(value, Item),
                _ => false,
            };
            if (!isKnown) return false;
        }
        return true;
    }

    private static bool Format(JsonElement format) => IsNull(format) || Members(format,
        static (name, _) => name is "type" or "name" or "schema" or "strict" or "description");

    private static bool Item(JsonElement item)
    {
        if (item.ValueKind != JsonValueKind.Object) return false;
        var type = item.TryGetProperty("type", out var known) && known.ValueKind == JsonValueKind.String ? known.GetString() : "message";
        return type switch
        {
            "message" => Members(item, static (name, value) => name is "type" or "role" or "id" or "status" || name == "content" && Content(value)),
            "function_call" => Members(item, static (name, _) => name is "type" or "id" or "status" or "call_id" or "name" or "arguments"),
            "function_call_output" => Members(item, static (name, value) => name is "type" or "id" or "status" or "call_id"
                || name == "output" && Content(value)),
            _ => false,
        };
    }

    private static bool Content(JsonElement content) => content.ValueKind == JsonValueKind.String || All(content, static part =>
        (Is(part, "type", "input_text") || Is(part, "type", "output_text")) && Members(part, static (name, value) => name is "type" or "text"
            || name is "annotations" or "logprobs" && (IsNull(value) || value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0)));

    private static bool All(JsonElement list, Func<JsonElement, bool> allows)
    {
        if (list.ValueKind != JsonValueKind.Array) return false;
        foreach (var item in list.EnumerateArray())
        {
            if (!allows(item)) return false;
        }
        return true;
    }

    private static bool Members(JsonElement value, Func<string, JsonElement, bool> allows)
    {
        if (value.ValueKind != JsonValueKind.Object) return false;
        foreach (var member in value.EnumerateObject())
        {
            if (!allows(member.Name, member.Value)) return false;
        }
        return true;
    }

    private static bool IsNull(JsonElement value) => value.ValueKind == JsonValueKind.Null;

    private static bool Is(JsonElement value, string text) => value.ValueKind == JsonValueKind.String && value.ValueEquals(text);

    private static bool Is(JsonElement value, string name, string text) =>
        value.ValueKind == JsonValueKind.Object && value.TryGetProperty(name, out var found) && Is(found, text);
}

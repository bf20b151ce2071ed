using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Responses;

/// <summary>The input of a request as complete items with ids, to store and list.</summary>
internal static class StoredInput
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    /// <summary>A JSON array.</summary>
    public static byte[] Of(GatewayCall call)
    {
        var found = call.Facts.Responses!;
        var items = new JsonArray();
        if (!found.Input.IsEmpty)
        {
            var input = JsonNode.Parse(call.Body.WrittenSpan.Slice(found.Input.Start, found.Input.Length), documentOptions: Parsing);
            if (input is JsonArray list)
            {
                foreach (var item in list) Add(items, (JsonObject)item!.DeepClone(), call);
            }
            else
            {
                Add(items, new JsonObject { ["role"] = "user", ["content"] = input!.DeepClone() }, call);
            }
        }
        var output = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) items.WriteTo(json);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Ids by which the input names items instead of sending them.</summary>
    public static List<string> References(GatewayCall call)
    {
        var found = call.Facts.Responses!;
        var ids = new List<string>();
        using var document = JsonDocument.Parse(call.Body.WrittenMemory.Slice(found.Input.Start, found.Input.Length), Parsing);
        foreach (var item in document.RootElement.EnumerateArray())
        {
            var type = item.TryGetProperty("type", out var name) && name.ValueKind == JsonValueKind.String ? name.GetString() : null;
            var isReference = type is "item_reference" || (type is null && !item.TryGetProperty("role", out _));
            if (isReference && item.TryGetProperty("id", out var id) && id.ValueKind == JsonValueKind.String) ids.Add(id.GetString()!);
        }
        return ids;
    }

    private static void Add(JsonArray items, JsonObject item, GatewayCall call)
    {
        var type = Text(item, "type") ?? (item.ContainsKey("role") ? "message" : "item_reference");
        if (type == "item_reference")
        {
            if (call.Facts.Responses!.References?.TryGetValue(Text(item, "id") ?? "", out var known) == true)
            {
                items.Add(JsonNode.Parse(known.GetRawText(), documentOptions: Parsing));
            }
            return;
        }
        var id = Text(item, "id") ?? ResponseIds.OfInput(PrefixOf(type), call, items.Count);
        var stored = new JsonObject { ["id"] = id, ["type"] = type };
        foreach (var (name, value) in item)
        {
            if (name is not ("id" or "type")) stored[name] = value?.DeepClone();
        }
        if (type == "message" && stored["content"] is JsonValue content && content.TryGetValue<string>(out var text))
        {
            var part = Text(stored, "role") == "assistant" ? "output_text" : "input_text";
            stored["content"] = new JsonArray(new JsonObject { ["type"] = part, ["text"] = text });
        }
        items.Add(stored);
    }

    private static string PrefixOf(string type) => type switch
    {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        _ => "item",
    };

    private static string? Text(JsonObject item, string name) =>
        item[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}

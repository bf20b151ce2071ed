using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Between a whole Response object and the events that bring it, for providers that send the one where the other was asked for.</summary>
internal static class ResponsesDocument
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    /// <summary>The events of a whole response; none when it is no finished response.</summary>
    public static IEnumerable<byte[]> EventsOf(ReadOnlyMemory<byte> document)
    {
        var events = new List<byte[]>();
        try
        {
            if (JsonNode.Parse(document.Span, documentOptions: Parsing) is not JsonObject response || response["object"]?.GetValue<string>() != "response") return [];
            if (response["status"]?.GetValue<string>() is not ("completed" or "incomplete" or "failed") || response["output"] is not JsonArray output) return [];
            for (var i = 0; i < output.Count; i++)
            {
                if (output[i] is JsonObject item) AddItem(events, item, i);
            }
            var type = $"response.{response["status"]!.GetValue<string>()}";
            events.Add(ResponseJson.Bytes(new JsonObject { ["type"] = type, ["response"] = response.DeepClone() }));
            return events;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return [];
        }
    }

    /// <summary>The response in the last event of a stream; null where it has none.</summary>
    public static byte[]? WholeOf(ReadOnlySpan<byte> events)
    {
        using var parser = new SseParser();
        parser.Append(events);
        parser.Append("\n\n"u8);
        byte[]? whole = null;
        while (parser.TryRead(out _, out var data))
        {
            try
            {
                if (NativeChunk.Text(data, "type"u8) is not ("response.completed" or "response.incomplete" or "response.failed")) continue;
                var range = NativeChunk.Find(data, "response"u8, JsonTokenType.StartObject);
                if (!range.IsEmpty) whole = data.Slice(range.Start, range.Length).ToArray();
            }
            catch (JsonException)
            {
                // An event that cannot be read is not the last one.
            }
        }
        return whole;
    }

    private static void AddItem(List<byte[]> events, JsonObject item, int index)
    {
        var id = item["id"]?.GetValue<string>() ?? "";
        var opened = (JsonObject)item.DeepClone();
        if (opened["content"] is JsonArray) opened["content"] = new JsonArray();
        if (opened["arguments"] is not null) opened["arguments"] = "";
        opened["status"] = "in_progress";
        events.Add(Of("response.output_item.added", index, new JsonObject { ["item"] = opened }));
        if (item["type"]?.GetValue<string>() == "function_call" && item["arguments"] is JsonValue arguments)
        {
            events.Add(Of("response.function_call_arguments.delta", index, new JsonObject { ["item_id"] = id, ["delta"] = arguments.DeepClone() }));
            events.Add(Of("response.function_call_arguments.done", index, new JsonObject { ["item_id"] = id, ["arguments"] = arguments.DeepClone() }));
        }
        if (item["type"]?.GetValue<string>() == "message" && item["content"] is JsonArray parts)
        {
            for (var i = 0; i < parts.Count; i++)
            {
                if (parts[i] is JsonObject part) AddPart(events, part, id, index, i);
            }
        }
        events.Add(Of("response.output_item.done", index, new JsonObject { ["item"] = item.DeepClone() }));
    }

    private static void AddPart(List<byte[]> events, JsonObject part, string id, int index, int at)
    {
        var (name, kind) = part["type"]?.GetValue<string>() == "refusal" ? ("refusal", "refusal") : ("text", "output_text");
        var opened = (JsonObject)part.DeepClone();
        opened[name] = "";
        var text = part[name]?.GetValue<string>() ?? "";
        events.Add(Of("response.content_part.added", index, new JsonObject { ["item_id"] = id, ["content_index"] = at, ["part"] = opened }));
        events.Add(Of($"response.{kind}.delta", index, new JsonObject { ["item_id"] = id, ["content_index"] = at, ["delta"] = text }));
        events.Add(Of($"response.{kind}.done", index, new JsonObject { ["item_id"] = id, ["content_index"] = at, [name] = text }));
        events.Add(Of("response.content_part.done", index, new JsonObject { ["item_id"] = id, ["content_index"] = at, ["part"] = part.DeepClone() }));
    }

    private static byte[] Of(string type, int index, JsonObject members)
    {
        var whole = new JsonObject { ["type"] = type, ["output_index"] = index };
        foreach (var (name, value) in members.ToArray())
        {
            members.Remove(name);
            whole[name] = value;
        }
        return ResponseJson.Bytes(whole);
    }
}

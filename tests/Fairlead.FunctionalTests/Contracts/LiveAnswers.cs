using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Common.JsonSchema;

namespace Fairlead.FunctionalTests.Contracts;

/// <summary>
/// Checks live responses against the schemas of this project: whole bodies, every event of a stream, and the order of the events.
/// </summary>
internal static class LiveAnswers
{
    /// <summary>The schema errors of a whole response in the dialect of <paramref name="client"/>.</summary>
    public static IReadOnlyList<string> Whole(string client, int status, string body)
    {
        var schema = (client, status) switch
        {
            ("chat", 200) => "chat.completion.json",
            ("completions", 200) => "text_completion.json",
            ("messages", 200) => "anthropic.message.json",
            ("messages", _) => "error.anthropic.json",
            _ => "error.openai.json",
        };
        return SchemaSet.Own.Get(schema).Faults(JsonNode.Parse(body));
    }

    /// <summary>What is wrong with a stream of <paramref name="client"/>'s dialect.</summary>
    public static IReadOnlyList<string> Stream(string client, SeenStream stream, bool includeUsage) => client switch
    {
        "messages" => Messages(stream),
        "chat" => Chunks(stream, "chat.completion.chunk.json", includeUsage, hasRoles: true),
        _ => Chunks(stream, "text_completion.chunk.json", includeUsage, hasRoles: false),
    };

    private static List<string> Chunks(SeenStream stream, string document, bool includeUsage, bool hasRoles)
    {
        var faults = new List<string>();
        var events = stream.Events.ToList();
        var isDone = events.Count > 0 && events[^1].Data == "[DONE]";
        if (isDone) events.RemoveAt(events.Count - 1);
        if (events.Count == 0) return ["There is no event."];
        var failed = JsonNode.Parse(events[^1].Data)!.AsObject().ContainsKey("error");
        if (failed == isDone || failed != stream.Broken) faults.Add($"failed: {failed}, [DONE]: {isDone}, aborted: {stream.Broken}");

        var heads = new HashSet<string>();
        var finishes = new Dictionary<int, int>();
        var roles = new HashSet<int>();
        for (var i = 0; i < events.Count; i++)
        {
            var isLast = i == events.Count - 1;
            var part = isLast ? (failed ? "error" : includeUsage ? "usage" : "finish") : i == 0 ? "first" : "middle";
            Event(events[i], i, $"{document}#/$defs/{part}", null, faults);
            var chunk = JsonNode.Parse(events[i].Data)!;
            if (chunk["choices"] is not JsonArray choices) continue;
            heads.Add($"{chunk["id"]} {chunk["created"]} {chunk["model"]}");
            if (includeUsage && !isLast && !(chunk.AsObject().TryGetPropertyValue("usage", out var usage) && usage is null)) faults.Add($"event {i} has no usage of null");
            foreach (var choice in choices)
            {
                var index = choice!["index"]!.GetValue<int>();
                finishes[index] = finishes.GetValueOrDefault(index) + (choice["finish_reason"] is null ? 0 : 1);
                if (hasRoles && choice["delta"]!["role"] is not null) roles.Add(index);
                if (hasRoles && !roles.Contains(index)) faults.Add($"event {i}: choice {index} has no role yet");
            }
        }
        if (heads.Count > 1) faults.Add($"The chunks differ in id, created or model: {string.Join("; ", heads)}");
        foreach (var (index, count) in finishes)
        {
            if (count != (failed ? 0 : 1)) faults.Add($"choice {index} has {count} reasons");
        }
        return faults;
    }

    private static List<string> Messages(SeenStream stream)
    {
        var faults = new List<string>();
        var events = stream.Events;
        if (events.Count == 0) return ["There is no event."];
        if (events[0].Name != "message_start") faults.Add($"begins with {events[0].Name}");
        if (events[^1].Name is not ("message_stop" or "error")) faults.Add($"ends with {events[^1].Name}");
        var next = 0;
        string? open = null;
        var deltas = 0;
        for (var i = 0; i < events.Count; i++)
        {
            var seen = events[i];
            Event(seen, i, $"anthropic.events.json#/$defs/{seen.Name}", seen.Name, faults);
            var data = JsonNode.Parse(seen.Data)!;
            if (data["index"] is { } index && index.GetValue<int>() != next) faults.Add($"event {i}: block {index} where {next} is due");
            switch (seen.Name)
            {
                case "message_start" when i > 0:
                    faults.Add($"event {i}: a second start");
                    break;
                case "content_block_start":
                    if (open is not null) faults.Add($"event {i}: a block inside a block");
                    open = data["content_block"]!["type"]!.GetValue<string>();
                    break;
                case "content_block_delta":
                    var kind = data["delta"]!["type"]!.GetValue<string>();
                    var fits = (open, kind) is ("text", "text_delta" or "citations_delta") or ("thinking", "thinking_delta" or "signature_delta") or ("tool_use" or "server_tool_use", "input_json_delta");
                    if (!fits) faults.Add($"event {i}: {kind} in {open ?? "no block"}");
                    break;
                case "content_block_stop":
                    if (open is null) faults.Add($"event {i}: no block is open");
                    open = null;
                    next++;
                    break;
                case "message_delta":
                    if (open is not null || ++deltas > 1 || i != events.Count - 2) faults.Add($"event {i}: the message's end is not at the end");
                    break;
                case "message_stop" or "error" when i < events.Count - 1:
                    faults.Add($"event {i}: something follows");
                    break;
                case "message_stop" when deltas != 1:
                    faults.Add("There is no message_delta.");
                    break;
            }
        }
        return faults;
    }

    private static void Event(SeenEvent seen, int number, string schema, string? name, List<string> faults)
    {
        if (seen.Name != name) faults.Add($"event {number} is named {seen.Name}");
        if (seen.Id != number.ToString(System.Globalization.CultureInfo.InvariantCulture)) faults.Add($"event {number} has the id {seen.Id}");
        var data = JsonNode.Parse(seen.Data)!;
        if (data["sequence_number"]?.GetValue<int>() != number) faults.Add($"event {number} has the number {data["sequence_number"]}");
        faults.AddRange(SchemaSet.Own.Get(schema).Faults(data).Select(fault => $"event {number} against {schema}: {fault}: {seen.Data[..Math.Min(500, seen.Data.Length)]}"));
    }
}

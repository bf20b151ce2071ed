using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>A response as a golden file has it: one event a line, with fixed words for what differs from run to run (ids, times, ports).</summary>
internal static partial class ResponseText
{
    // What a generation object has beside its result: measured times and what the models happened to cost.
    private static readonly string[] MeasuredFields = ["cost", "timing_ms", "quality", "attempts"];

    private static readonly JsonSerializerOptions Line = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    public static string Of(string body) => Text(JsonNode.Parse(body)!, Indented) + "\n";

    public static string Of(SeenStream stream)
    {
        var lines = WarningsFirst(stream.Events.Select(seen => (seen.Name is null ? "" : seen.Name + " ") + (seen.Data == "[DONE]" ? seen.Data : Text(JsonNode.Parse(seen.Data)!, Line))));
        return string.Join('\n', lines) + (stream.Broken ? "\n(connection aborted)\n" : "\n");
    }

    // A warning is sent as soon as the gateway knows of it. Whether it comes before or after the text that arrived with it depends on how the
    // network cut the provider's stream, so its place is no part of the comparison.
    private static List<string> WarningsFirst(IEnumerable<string> lines)
    {
        var all = lines.ToList();
        var warnings = all.Where(line => line.StartsWith("generation.warning ", StringComparison.Ordinal)).ToList();
        all.RemoveAll(warnings.Contains);
        var first = all.FindIndex(line => line.StartsWith("output.", StringComparison.Ordinal));
        all.InsertRange(first < 0 ? Math.Max(0, all.Count - 1) : first, warnings);
        return all;
    }

    private static string Text(JsonNode node, JsonSerializerOptions options)
    {
        if (node is JsonObject json)
        {
            json.Remove("sequence_number");
            Normalize(json);
            // The Responses API and v2 put the whole object into some of their events.
            if (json["response"] is JsonObject response) Normalize(response);
            if (json["generation"] is JsonObject generation) Normalize(generation);
        }
        return Port().Replace(OwnId().Replace(node.ToJsonString(options), "$1ULID"), "http://gateway");
    }

    private static void Normalize(JsonObject json)
    {
        if (json["fairlead"] is JsonObject own)
        {
            var kept = new JsonObject();
            if (own["outcome"] is { } outcome) kept["outcome"] = outcome.DeepClone();
            if (own["warnings"] is JsonArray { Count: > 0 } warnings) kept["warnings"] = Codes(warnings);
            json["fairlead"] = kept;
        }
        // Times of the gateway. Those in the upstream's files are fixed and stay.
        if (json["created"] is JsonValue created && created.GetValue<long>() != 1700000000) json["created"] = "now";
        foreach (var name in (string[])["created_at", "started_at", "completed_at"])
        {
            if (json[name] is not null) json[name] = "now";
        }
        if (json["object"]?.GetValue<string>() == "generation")
        {
            foreach (var name in MeasuredFields) json.Remove(name);
            if (json["warnings"] is JsonArray warnings) json["warnings"] = Codes(warnings);
        }
        if (json.ContainsKey("request_id")) json["request_id"] = "req";
        if (json["error"] is JsonObject error && error.ContainsKey("request_id")) error["request_id"] = "req";
    }

    private static JsonArray Codes(JsonArray warnings) => [.. warnings.Select(warning => warning!["code"]!.DeepClone())];

    [GeneratedRegex("\\b(chatcmpl-|cmpl-|[a-z]+_)[0-9A-HJKMNP-TV-Z]{26}")]
    private static partial Regex OwnId();

    [GeneratedRegex("http://127\\.0\\.0\\.1:[0-9]+")]
    private static partial Regex Port();
}

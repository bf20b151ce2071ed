using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>An answer as a golden file holds it: one event a line, with what differs from run to run (ids, times, ports) put out of sight.</summary>
internal static partial class WayBackText
{
    private static readonly JsonSerializerOptions Line = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    public static string Of(string body) => Calm(JsonNode.Parse(body)!, Indented) + "\n";

    public static string Of(SeenStream stream)
    {
        var lines = stream.Events.Select(seen => (seen.Name is null ? "" : seen.Name + " ") + (seen.Data == "[DONE]" ? seen.Data : Calm(JsonNode.Parse(seen.Data)!, Line)));
        return string.Join('\n', lines) + (stream.Broken ? "\n(connection aborted)\n" : "\n");
    }

    private static string Calm(JsonNode node, JsonSerializerOptions options)
    {
        if (node is JsonObject json)
        {
            json.Remove("sequence_number");
            if (json["fairlead"] is JsonObject own)
            {
                var kept = new JsonObject();
                if (own["outcome"] is { } outcome) kept["outcome"] = outcome.DeepClone();
                if (own["warnings"] is JsonArray { Count: > 0 } warnings) kept["warnings"] = new JsonArray([.. warnings.Select(warning => warning!["code"]!.DeepClone())]);
                json["fairlead"] = kept;
            }
            // Times of the gateway's own; those of the upstream's files are fixed and stay.
            if (json["created"] is JsonValue created && created.GetValue<long>() != 1700000000) json["created"] = "now";
            if (json.ContainsKey("request_id")) json["request_id"] = "req";
            if (json["error"] is JsonObject error && error.ContainsKey("request_id")) error["request_id"] = "req";
        }
        return Port().Replace(OwnId().Replace(node.ToJsonString(options), "$1ULID"), "http://gateway");
    }

    [GeneratedRegex("\\b(chatcmpl-|cmpl-|msg_|call_|req_|gen_)[0-9A-HJKMNP-TV-Z]{26}")]
    private static partial Regex OwnId();

    [GeneratedRegex("http://127\\.0\\.0\\.1:[0-9]+")]
    private static partial Regex Port();
}

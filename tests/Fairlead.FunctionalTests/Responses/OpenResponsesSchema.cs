using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Documentation;

namespace Fairlead.FunctionalTests.Responses;

/// <summary>The published schemas of Open Responses, where they lie beside the repository.</summary>
internal sealed class OpenResponsesSchema(JsonNode document)
{
    public static string Path { get; } = System.IO.Path.Combine(Example.Root, "..", "shared", "schemas", "openresponses.json");

    public static OpenResponsesSchema Load() => new(JsonNode.Parse(File.ReadAllText(Path))!);

    /// <summary>Name of the schema of an event, or null when the list of events does not have it.</summary>
    public string? SchemaOf(string eventType) => document["components"]!["schemas"]!.AsObject()
        .Where(schema => schema.Key.EndsWith("StreamingEvent", StringComparison.Ordinal) && schema.Value!["properties"]?["type"]?["enum"]?[0]?.GetValue<string>() == eventType)
        .Select(schema => schema.Key).SingleOrDefault();

    public List<string> Faults(string schema, JsonNode? value)
    {
        var faults = new List<string>();
        Check(document["components"]!["schemas"]![schema]!, value, "$", faults);
        return faults;
    }

    private void Check(JsonNode schema, JsonNode? value, string at, List<string> faults)
    {
        if (schema["$ref"] is { } reference)
        {
            schema = document["components"]!["schemas"]![reference.GetValue<string>().Split('/')[^1]]!;
        }
        foreach (var part in schema["allOf"] as JsonArray ?? []) Check(part!, value, at, faults);
        if ((schema["anyOf"] ?? schema["oneOf"]) is JsonArray choices)
        {
            var tries = choices.Select(choice =>
            {
                var found = new List<string>();
                Check(choice!, value, at, found);
                return found;
            }).ToList();
            if (tries.TrueForAll(found => found.Count > 0)) faults.AddRange(tries.MinBy(found => found.Count)!);
        }
        if (schema["type"]?.GetValue<string>() is { } type && !Is(type, value))
        {
            faults.Add($"{at} is no {type}: {value?.ToJsonString() ?? "null"}");
            return;
        }
        if (schema["enum"] is JsonArray words && !words.Any(word => JsonNode.DeepEquals(word, value))) faults.Add($"{at} is {value?.ToJsonString()}, not one of {words.ToJsonString()}");
        foreach (var name in schema["required"] as JsonArray ?? [])
        {
            if (value is JsonObject map && !map.ContainsKey(name!.GetValue<string>())) faults.Add($"{at}.{name} is missing");
        }
        if (value is JsonObject members)
        {
            foreach (var (name, inner) in schema["properties"] as JsonObject ?? [])
            {
                if (members.TryGetPropertyValue(name, out var member)) Check(inner!, member, $"{at}.{name}", faults);
            }
        }
        if (value is JsonArray items && schema["items"] is { } item)
        {
            for (var i = 0; i < items.Count; i++) Check(item, items[i], $"{at}[{i}]", faults);
        }
    }

    private static bool Is(string type, JsonNode? value) => type switch
    {
        "null" => value is null,
        "object" => value is JsonObject,
        "array" => value is JsonArray,
        "string" => value?.GetValueKind() == System.Text.Json.JsonValueKind.String,
        "boolean" => value?.GetValueKind() is System.Text.Json.JsonValueKind.True or System.Text.Json.JsonValueKind.False,
        "integer" => value?.GetValueKind() == System.Text.Json.JsonValueKind.Number && value.GetValue<double>() % 1 == 0,
        _ => value?.GetValueKind() == System.Text.Json.JsonValueKind.Number,
    };
}

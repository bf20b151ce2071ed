using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>
/// Compares a value with a schema of the OpenAPI document, as far as the document goes: types, required members, constants, lists. A member
/// that a schema with <c>properties</c> does not name is an error too, unless the schema allows others.
/// </summary>
internal static class SchemaCheck
{
    public static IReadOnlyList<string> Faults(JsonNode document, JsonNode schema, JsonNode? value)
    {
        var faults = new List<string>();
        Check(document, schema, value, "$", faults);
        return faults;
    }

    public static JsonNode Resolve(JsonNode document, JsonNode node)
    {
        while (node["$ref"] is { } reference)
        {
            var target = document;
            foreach (var part in reference.GetValue<string>()[2..].Split('/')) target = target![part]!;
            node = target!;
        }
        return node;
    }

    private static void Check(JsonNode document, JsonNode schema, JsonNode? value, string at, List<string> faults)
    {
        schema = Resolve(document, schema);
        if ((schema["anyOf"] ?? schema["oneOf"]) is JsonArray ways && schema["discriminator"] is null)
        {
            var all = ways.Select(way => Faults(document, way!, value)).ToList();
            if (all.TrueForAll(one => one.Count > 0)) faults.Add($"{at} is none of {ways.Count}: {string.Join("; or: ", all.Select(one => string.Join(", ", one)))}");
        }
        var kind = KindOf(value);
        var types = schema["type"] switch { JsonArray list => [.. list.Select(t => t!.GetValue<string>())], JsonValue one => [one.GetValue<string>()], _ => Array.Empty<string>() };
        if (types.Length > 0 && !types.Contains(kind) && !(kind == "integer" && types.Contains("number")))
        {
            faults.Add($"{at} is {kind}, not {string.Join(" or ", types)}");
            return;
        }
        if (schema["const"] is { } constant && !JsonNode.DeepEquals(constant, value)) faults.Add($"{at} is {value?.ToJsonString()}, not {constant.ToJsonString()}");
        if (schema["enum"] is JsonArray choices && !choices.Any(c => JsonNode.DeepEquals(c, value))) faults.Add($"{at} is {value?.ToJsonString()}, not one of {choices.ToJsonString()}");
        if (value is JsonArray items && schema["items"] is { } each)
        {
            for (var i = 0; i < items.Count; i++) Check(document, each, items[i], $"{at}[{i}]", faults);
        }
        if (value is not JsonObject members) return;
        foreach (var name in schema["required"] as JsonArray ?? [])
        {
            if (!members.ContainsKey(name!.GetValue<string>())) faults.Add($"{at} lacks {name}");
        }
        foreach (var (name, member) in members)
        {
            if (schema["properties"]?[name] is { } inner) Check(document, inner, member, $"{at}.{name}", faults);
            else if (schema["additionalProperties"] is JsonObject other) Check(document, other, member, $"{at}.{name}", faults);
            else if (schema["properties"] is not null && schema["additionalProperties"]?.GetValueKind() != JsonValueKind.True) faults.Add($"{at}.{name} is not in the document");
        }
    }

    private static string KindOf(JsonNode? value) => value?.GetValueKind() switch
    {
        null or JsonValueKind.Null => "null",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.String => "string",
        JsonValueKind.Array => "array",
        JsonValueKind.Object => "object",
        _ => value!.ToJsonString().All(char.IsAsciiDigit) ? "integer" : "number",
    };
}

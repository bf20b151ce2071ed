using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Fairlead.FunctionalTests.Common.JsonSchema;

/// <summary>How documents that are not ours are read.</summary>
/// <param name="Allowed">Members that any object may have beside those its schema names.</param>
/// <param name="RefusesUnknownKeywords">Whether a keyword that is not checked here stops the test; else it is passed over.</param>
public sealed record SchemaRules(IReadOnlySet<string> Allowed, bool RefusesUnknownKeywords)
{
    public static readonly SchemaRules Strict = new(new HashSet<string>(), RefusesUnknownKeywords: true);
}

/// <summary>
/// Holds values against JSON Schema 2020-12, as far as the schemas here use it. A keyword that is not known stops the test, so that none is
/// taken for checked that is not.
/// </summary>
internal sealed class SchemaValidator(SchemaRules rules)
{
    private static readonly HashSet<string> Notes = ["$schema", "$id", "$defs", "$comment", "title", "description", "default", "format", "example", "examples", "deprecated", "readOnly", "writeOnly", "discriminator", "components", "then", "else"];

    public void Check(Schema schema, JsonNode? value, string at, List<string> faults)
    {
        if (schema.Node is JsonValue whole)
        {
            if (!whole.GetValue<bool>()) faults.Add($"{at} is not allowed");
            return;
        }
        // OpenAPI's word also beside a reference.
        if (value is null && schema.Node["nullable"] is JsonValue nullable && nullable.GetValue<bool>()) return;
        foreach (var (word, node) in schema.Node.AsObject())
        {
            if (!Keyword(schema, word, node, value, at, faults) && rules.RefusesUnknownKeywords && !Notes.Contains(word) && !word.StartsWith("x-", StringComparison.Ordinal))
                throw new InvalidOperationException($"{schema.Document}: the keyword {word} is not checked by this validator.");
        }
    }

    private bool Keyword(Schema schema, string word, JsonNode? node, JsonNode? value, string at, List<string> faults)
    {
        switch (word)
        {
            case "$ref":
                Check(schema.Set.Resolve(schema.Document, node!.GetValue<string>()), value, at, faults);
                return true;
            case "type":
                var wanted = Texts(node);
                if (!wanted.Any(type => IsOf(type, value))) faults.Add($"{at} is {KindOf(value)}, not {string.Join(" or ", wanted)}");
                return true;
            case "nullable":
                return true;
            case "const":
                if (!JsonNode.DeepEquals(node, value)) faults.Add($"{at} is {Short(value)}, not {node?.ToJsonString() ?? "null"}");
                return true;
            case "enum":
                if (!node!.AsArray().Any(choice => JsonNode.DeepEquals(choice, value))) faults.Add($"{at} is {Short(value)}, not one of {node.ToJsonString()}");
                return true;
            case "allOf":
                foreach (var one in node!.AsArray()) Check(schema.At(one!), value, at, faults);
                return true;
            case "anyOf" or "oneOf":
                Choose(schema, word, node!.AsArray(), value, at, faults);
                return true;
            case "not":
                if (Fits(schema.At(node!), value)) faults.Add($"{at} is what it must not be");
                return true;
            case "if":
                var rest = Fits(schema.At(node!), value) ? schema.Node["then"] : schema.Node["else"];
                if (rest is not null) Check(schema.At(rest), value, at, faults);
                return true;
        }
        if (OfObject(schema, word, node, value as JsonObject, at, faults)) return true;
        if (OfArray(schema, word, node, value as JsonArray, at, faults)) return true;
        return OfScalar(word, node, value, at, faults);
    }

    private void Choose(Schema schema, string word, JsonArray branches, JsonNode? value, string at, List<string> faults)
    {
        var fitting = 0;
        List<string>? nearest = null;
        foreach (var branch in branches)
        {
            var inner = new List<string>();
            Check(schema.At(branch!), value, at, inner);
            if (inner.Count == 0) fitting++;
            // The branch that goes deepest into the value is the one that was meant.
            else if (nearest is null || inner.Max(fault => fault.Split(' ')[0].Length) > nearest.Max(fault => fault.Split(' ')[0].Length)) nearest = inner;
        }
        if (fitting == 1 || (fitting > 1 && word == "anyOf")) return;
        if (fitting > 1) faults.Add($"{at} fits {fitting} branches of oneOf");
        else faults.AddRange(nearest!.Take(3).Select(fault => $"{fault} (no branch fits)"));
    }

    private bool OfObject(Schema schema, string word, JsonNode? node, JsonObject? members, string at, List<string> faults)
    {
        switch (word)
        {
            case "properties":
                foreach (var (name, inner) in node!.AsObject())
                {
                    if (members is not null && members.TryGetPropertyValue(name, out var member)) Check(schema.At(inner!), member, $"{at}.{name}", faults);
                }
                return true;
            case "required":
                foreach (var name in Texts(node))
                {
                    if (members is not null && !members.ContainsKey(name)) faults.Add($"{at} lacks {name}");
                }
                return true;
            case "additionalProperties":
                foreach (var (name, member) in members ?? [])
                {
                    if (schema.Node["properties"]?.AsObject().ContainsKey(name) == true || rules.Allowed.Contains(name)) continue;
                    if (node is JsonValue flag && !flag.GetValue<bool>()) faults.Add($"{at}.{name} is not in the schema");
                    else Check(schema.At(node!), member, $"{at}.{name}", faults);
                }
                return true;
            case "propertyNames":
                foreach (var (name, _) in members ?? []) Check(schema.At(node!), JsonValue.Create(name), $"{at} name {name}", faults);
                return true;
            case "minProperties":
                if (members?.Count < node!.GetValue<int>()) faults.Add($"{at} has too few members");
                return true;
            case "maxProperties":
                if (members?.Count > node!.GetValue<int>()) faults.Add($"{at} has too many members");
                return true;
            default:
                return false;
        }
    }

    private bool OfArray(Schema schema, string word, JsonNode? node, JsonArray? items, string at, List<string> faults)
    {
        switch (word)
        {
            case "items":
                var fixedOnes = (schema.Node["prefixItems"] as JsonArray)?.Count ?? 0;
                for (var i = fixedOnes; i < items?.Count; i++) Check(schema.At(node!), items[i], $"{at}[{i}]", faults);
                return true;
            case "prefixItems":
                for (var i = 0; i < Math.Min(items?.Count ?? 0, node!.AsArray().Count); i++) Check(schema.At(node[i]!), items![i], $"{at}[{i}]", faults);
                return true;
            case "minItems":
                if (items?.Count < node!.GetValue<int>()) faults.Add($"{at} has too few items");
                return true;
            case "maxItems":
                if (items?.Count > node!.GetValue<int>()) faults.Add($"{at} has too many items");
                return true;
            default:
                return false;
        }
    }

    private static bool OfScalar(string word, JsonNode? node, JsonNode? value, string at, List<string> faults)
    {
        var text = value?.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;
        var number = value?.GetValueKind() == JsonValueKind.Number ? double.Parse(value.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture) : double.NaN;
        var broken = word switch
        {
            "minLength" => text?.Length < node!.GetValue<int>(),
            "maxLength" => text?.Length > node!.GetValue<int>(),
            "pattern" => text is not null && !Regex.IsMatch(text, node!.GetValue<string>(), RegexOptions.CultureInvariant, TimeSpan.FromSeconds(10)),
            "minimum" => number < node!.GetValue<double>(),
            "maximum" => number > node!.GetValue<double>(),
            "exclusiveMinimum" => number <= node!.GetValue<double>(),
            "exclusiveMaximum" => number >= node!.GetValue<double>(),
            _ => (bool?)null,
        };
        if (broken is null) return word is "minLength" or "maxLength";
        if (broken == true) faults.Add($"{at} is {Short(value)}, against {word} {node!.ToJsonString()}");
        return true;
    }

    private bool Fits(Schema schema, JsonNode? value)
    {
        var inner = new List<string>();
        Check(schema, value, "$", inner);
        return inner.Count == 0;
    }

    private static string[] Texts(JsonNode? node) => node is JsonArray list ? [.. list.Select(one => one!.GetValue<string>())] : [node!.GetValue<string>()];

    private static bool IsOf(string type, JsonNode? value) => KindOf(value) is var kind && (kind == type || (kind == "integer" && type == "number"));

    // As JSON Schema has it, 1.0 and 1e3 are integers too.
    private static string KindOf(JsonNode? value) => value?.GetValueKind() switch
    {
        null or JsonValueKind.Null => "null",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.String => "string",
        JsonValueKind.Array => "array",
        JsonValueKind.Object => "object",
        _ => double.TryParse(value!.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture, out var number) && Math.Floor(number) == number ? "integer" : "number",
    };

    private static string Short(JsonNode? value)
    {
        var text = value?.ToJsonString() ?? "null";
        return text.Length <= 80 ? text : text[..80] + "…";
    }
}

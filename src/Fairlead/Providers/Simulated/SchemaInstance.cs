using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// Makes a JSON value that satisfies a schema of the strict subset (CONTRACTS 6.12: types, enum, const, anyOf, $ref with recursion, formats, bounds),
/// and does its best beyond it (allOf, oneOf, optional properties). One instance; bounded in size whatever the schema says.
/// </summary>
internal sealed class SchemaInstance
{
    // From here on only what is required is made, so that recursion comes to its end.
    private const int FrugalDepth = 5;
    private const int MaxDepth = 60;
    private const int MaxNodes = 20_000;
    private const int FrugalNodes = 500;
    private const int MaxItems = 1000;
    private const int MaxCharacters = 200_000;

    private readonly JsonObject _root;
    private readonly SimulatedRandom _random;
    private int _nodes;
    private int _characters;

    private SchemaInstance(JsonObject root, SimulatedRandom random)
    {
        _root = root;
        _random = random;
    }

    public static JsonNode? Make(JsonObject schema, SimulatedRandom random) => new SchemaInstance(schema, random).Value(schema, 0);

    private JsonNode? Value(JsonNode? node, int depth)
    {
        if (++_nodes > MaxNodes || depth > MaxDepth) return null;
        if (node is not JsonObject schema) return "anything";
        schema = Resolve(schema);
        if (schema.TryGetPropertyValue("const", out var constant)) return constant?.DeepClone();
        if (schema["enum"] is JsonArray { Count: > 0 } choices) return choices[_random.Below(choices.Count)]?.DeepClone();
        if ((schema["anyOf"] ?? schema["oneOf"]) is JsonArray { Count: > 0 } branches) return Branch(branches, depth);
        return TypeOf(schema) switch
        {
            "object" => Object(schema, depth),
            "array" => Array(schema, depth),
            "string" => Text(schema),
            "integer" => Integer(schema),
            "number" => Number(schema),
            "boolean" => _random.Below(2) == 0,
            _ => null,
        };
    }

    private bool Frugal(int depth) => depth >= FrugalDepth || _nodes > FrugalNodes;

    private JsonNode? Branch(JsonArray branches, int depth)
    {
        if (!Frugal(depth)) return Value(branches[_random.Below(branches.Count)], depth + 1);
        // Scalars end a recursion; of the rest, what refers to nothing.
        var simplest = branches.OrderBy(b => b is not JsonObject o ? 0 : o.ContainsKey("$ref") ? 3 : TypeOf(o) switch { "object" => 2, "array" => 1, _ => 0 }).First();
        return Value(simplest, depth + 1);
    }

    private JsonObject Object(JsonObject schema, int depth)
    {
        var made = new JsonObject();
        var required = (schema["required"] as JsonArray ?? []).Select(r => r?.GetValueKind() == JsonValueKind.String ? (string)r! : null).OfType<string>().ToHashSet(StringComparer.Ordinal);
        if (schema["properties"] is JsonObject properties)
        {
            foreach (var (name, property) in properties)
            {
                if (required.Remove(name) || !Frugal(depth)) made[name] = Value(property, depth + 1);
            }
        }
        foreach (var name in required) made[name] = Value(schema["additionalProperties"] as JsonObject, depth + 1);
        return made;
    }

    private JsonArray Array(JsonObject schema, int depth)
    {
        var made = new JsonArray();
        foreach (var item in schema["prefixItems"] as JsonArray ?? []) made.Add(Value(item, depth + 1));
        var least = (int)Math.Clamp(Bound(schema, "minItems") ?? 0, 0, MaxItems);
        var most = (int)Math.Clamp(Bound(schema, "maxItems") ?? least + 2, least, MaxItems);
        var wanted = Frugal(depth) ? least : Math.Min(most, Math.Max(least, 1 + _random.Below(2)));
        if (schema["items"] is JsonValue || (schema["items"] is null && least == 0)) return made;
        while (made.Count < wanted && _nodes < MaxNodes) made.Add(Value(schema["items"], depth + 1));
        return made;
    }

    private string Text(JsonObject schema)
    {
        if (Word(schema, "pattern") is { } pattern && PatternText.TryMake(pattern, _random) is { } matching) return matching;
        var text = Word(schema, "format") switch
        {
            "date-time" => $"2026-0{1 + _random.Below(9)}-1{_random.Below(10)}T0{_random.Below(10)}:30:00Z",
            "date" => $"2026-0{1 + _random.Below(9)}-1{_random.Below(10)}",
            "time" => $"0{_random.Below(10)}:30:00Z",
            "duration" => $"PT{1 + _random.Below(59)}M",
            "email" => $"{SentenceMaker.Word(_random)}@example.com",
            "hostname" => $"{SentenceMaker.Word(_random)}.example.com",
            "ipv4" => $"192.0.2.{1 + _random.Below(254)}",
            "ipv6" => $"2001:db8::{1 + _random.Below(9)}",
            "uuid" => $"{(uint)_random.Next():x8}-{_random.Below(65536):x4}-4{_random.Below(4096):x3}-a{_random.Below(4096):x3}-{_random.Next() & 0xFFFFFFFFFFFF:x12}",
            "uri" or "url" => $"https://example.com/{SentenceMaker.Word(_random)}",
            _ => null,
        };
        if (text is not null) return text;
        text = SentenceMaker.Word(_random);
        var least = (int)Math.Clamp(Bound(schema, "minLength") ?? 0, 0, 10_000);
        if (text.Length < least && _characters < MaxCharacters)
        {
            // Filled up with one word, so that length costs no more than its copying.
            var filling = " " + SentenceMaker.Word(_random);
            text = string.Concat(text, string.Concat(Enumerable.Repeat(filling, (least - text.Length + filling.Length - 1) / filling.Length)));
        }
        _characters += text.Length;
        if (Bound(schema, "maxLength") is { } most && text.Length > most) text = text[..(int)Math.Max(0, most)];
        return text;
    }

    private JsonValue Integer(JsonObject schema)
    {
        var range = RangeOf(schema);
        var least = range.OpenBelow ? Math.Floor(range.Least) + 1 : Math.Ceiling(range.Least);
        var most = range.OpenAbove ? Math.Ceiling(range.Most) - 1 : Math.Floor(range.Most);
        var value = Bound(schema, "multipleOf") is { } step and >= 1 ? Multiple(step, least, most) : least + _random.Below((int)Math.Clamp(most - least, 0, 1000) + 1);
        return JsonValue.Create((long)Math.Clamp(value, -9e15, 9e15));
    }

    private JsonValue Number(JsonObject schema)
    {
        var (least, most, openBelow, openAbove) = RangeOf(schema);
        if (Bound(schema, "multipleOf") is { } step and > 0)
        {
            if (openBelow && least % step == 0) least += step;
            if (openAbove && most % step == 0) most -= step;
            return JsonValue.Create(Multiple(step, least, most));
        }
        // Never at the ends, so that it does not matter whether they belong to it.
        var value = least + ((most - least) * (1 + _random.Below(999)) / 1000);
        var rounded = Math.Round(value, 2);
        return JsonValue.Create(rounded > least && rounded < most ? rounded : value);
    }

    private double Multiple(double step, double least, double most)
    {
        var first = Math.Ceiling(least / step);
        var steps = Math.Clamp(Math.Floor(most / step) - first, 0, 1000);
        // In decimals, since 3 * 0.1 is not 0.3 in binary.
        return (double)((decimal)Math.Clamp(first + _random.Below((int)steps + 1), -1e15, 1e15) * (decimal)Math.Clamp(step, 1e-9, 1e12));
    }

    private static (double Least, double Most, bool OpenBelow, bool OpenAbove) RangeOf(JsonObject schema)
    {
        var (minimum, above) = (Bound(schema, "minimum"), Bound(schema, "exclusiveMinimum"));
        var (maximum, below) = (Bound(schema, "maximum"), Bound(schema, "exclusiveMaximum"));
        var openBelow = above is not null && !(minimum > above);
        var openAbove = below is not null && !(maximum < below);
        var least = openBelow ? above : minimum;
        var most = openAbove ? below : maximum;
        var span = 100 * Math.Max(1, Bound(schema, "multipleOf") ?? 1);
        return (least ?? (most is { } m ? m > 0 ? 0 : m - span : 0), most ?? ((least ?? 0) + span), openBelow, openAbove);
    }

    private JsonObject Resolve(JsonObject schema)
    {
        for (var hops = 0; hops < 32 && Word(schema, "$ref") is { } reference; hops++)
        {
            if (Find(reference) is not { } target || ReferenceEquals(target, schema)) break;
            schema = target;
        }
        if (schema["allOf"] is not JsonArray all) return schema;
        var merged = new JsonObject();
        foreach (var part in all.OfType<JsonObject>().Take(50).Append(schema))
        {
            foreach (var (name, value) in part.ContainsKey("$ref") && part != schema ? Resolve(part) : part)
            {
                if (name == "allOf") continue;
                if (name == "properties" && merged[name] is JsonObject properties && value is JsonObject more)
                {
                    foreach (var (property, inner) in more) properties[property] = inner?.DeepClone();
                }
                else if (name == "required" && merged[name] is JsonArray required && value is JsonArray further)
                {
                    foreach (var item in further) required.Add(item?.DeepClone());
                }
                else
                {
                    merged[name] = value?.DeepClone();
                }
            }
        }
        return merged;
    }

    private JsonObject? Find(string reference)
    {
        if (reference == "#") return _root;
        if (!reference.StartsWith("#/", StringComparison.Ordinal)) return null;
        JsonNode? at = _root;
        foreach (var step in reference[2..].Split('/'))
        {
            at = (at as JsonObject)?[step.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)];
        }
        return at as JsonObject;
    }

    private string? TypeOf(JsonObject schema)
    {
        if (Word(schema, "$ref") is not null) schema = Resolve(schema);
        if (Word(schema, "type") is { } type) return type;
        if (schema["type"] is JsonArray types)
        {
            var words = types.Select(t => t?.GetValueKind() == JsonValueKind.String ? (string)t! : null).OfType<string>().ToArray();
            return words.FirstOrDefault(t => t != "null") ?? words.FirstOrDefault();
        }
        return schema.ContainsKey("properties") || schema.ContainsKey("required") ? "object"
            : schema.ContainsKey("items") || schema.ContainsKey("prefixItems") ? "array"
            : schema.ContainsKey("minimum") || schema.ContainsKey("maximum") || schema.ContainsKey("multipleOf") ? "number"
            : schema.ContainsKey("not") || schema.ContainsKey("if") ? null
            : "string";
    }

    private static string? Word(JsonObject schema, string name) => schema[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? (string)value! : null;

    private static double? Bound(JsonObject schema, string name) =>
        schema[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue<double>(out var number) && double.IsFinite(number) ? number : null;
}

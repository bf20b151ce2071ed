using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.StructuredOutput;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// Creates a JSON value that satisfies a schema of the strict subset (types, enum, const, anyOf, $ref with recursion, formats, bounds),
/// and does its best beyond it (allOf, oneOf, optional properties). One instance; limited in size for every schema.
/// </summary>
internal sealed class SchemaInstance
{
    // From here on only required properties are created, so that recursion ends.
    private const int FrugalDepth = 5;
    private const int MaxDepth = 60;
    private const int MaxNodes = 20_000;
    private const int FrugalNodes = 500;
    private const int MaxItems = 1000;
    private const int MaxCharacters = 200_000;

    private readonly MergedSchemas _schemas;
    private readonly SimulatedRandom _random;
    private readonly Dictionary<string, SchemaPattern?> _patterns = new(StringComparer.Ordinal);
    private long _patternSize;
    private int _nodes;
    private int _characters;

    private SchemaInstance(JsonObject root, SimulatedRandom random)
    {
        _schemas = new MergedSchemas(root);
        _random = random;
    }

    public static JsonNode? Make(JsonObject schema, SimulatedRandom random) => new SchemaInstance(schema, random).Value(schema, 0);

    private JsonNode? Value(JsonNode? node, int depth)
    {
        if (++_nodes > MaxNodes || depth > MaxDepth) return null;
        if (node is not JsonObject given) return "anything";
        var schema = _schemas.Of(given);
        if (schema.TryGet("const", out var constant)) return Copy(constant);
        if (schema["enum"] is JsonArray { Count: > 0 } choices) return Copy(choices[_random.Below(choices.Count)]);
        if ((schema["anyOf"] ?? schema["oneOf"]) is JsonArray { Count: > 0 } branches) return Branch(schema, branches, depth);
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

    private bool Frugal(int depth) => depth >= FrugalDepth || _nodes > FrugalNodes || _schemas.IsExhausted;

    // The same constant may occur thousands of times.
    private JsonNode? Copy(JsonNode? value)
    {
        if (value is null) return null;
        if (_characters >= MaxCharacters) return null;
        _characters += SizeOf(value);
        return value.DeepClone();
    }

    private static int SizeOf(JsonNode value) =>
        value is JsonValue && value.GetValueKind() != JsonValueKind.String ? 8 : value.ToJsonString().Length;

    private JsonNode? Branch(MergedSchema schema, JsonArray branches, int depth)
    {
        if (!Frugal(depth)) return Value(branches[_random.Below(branches.Count)], depth + 1);
        return Value(schema.Simplest ??= Simplest(branches), depth + 1);
    }

    // Scalars end a recursion; of the rest, a branch without references.
    private JsonNode? Simplest(JsonArray branches)
    {
        var (simplest, min) = (branches[0], int.MaxValue);
        foreach (var branch in branches)
        {
            if (min == 0 || !_schemas.Spend(1)) break;
            var rank = branch is not JsonObject o ? 0 : o.ContainsKey("$ref") ? 3 : TypeOf(_schemas.Of(o)) switch
            {
                "object" => 2,
                "array" => 1,
                _ => 0,
            };
            if (rank < min) (simplest, min) = (branch, rank);
        }
        return simplest;
    }

    private JsonObject Object(MergedSchema schema, int depth)
    {
        var made = new JsonObject();
        if (Frugal(depth))
        {
            foreach (var name in schema.Required)
            {
                if (schema.Properties.TryGetValue(name, out var property) && !Add(name, property)) return made;
            }
        }
        else
        {
            foreach (var (name, property) in schema.Properties)
            {
                if ((!Frugal(depth) || schema.Required.Contains(name)) && !Add(name, property)) return made;
            }
        }
        foreach (var name in schema.Required)
        {
            if (!schema.Properties.ContainsKey(name) && !Add(name, schema["additionalProperties"] as JsonObject)) break;
        }
        return made;

        bool Add(string name, JsonNode? property)
        {
            // Names are output too.
            if ((_characters += name.Length) > 5 * MaxCharacters) return false;
            made[name] = Value(property, depth + 1);
            return _nodes < MaxNodes;
        }
    }

    private JsonArray Array(MergedSchema schema, int depth)
    {
        var made = new JsonArray();
        foreach (var item in schema["prefixItems"] as JsonArray ?? [])
        {
            if (_nodes >= MaxNodes) return made;
            made.Add(Value(item, depth + 1));
        }
        var min = (int)Math.Clamp(Bound(schema, "minItems") ?? 0, 0, MaxItems);
        var max = (int)Math.Clamp(Bound(schema, "maxItems") ?? min + 2, min, MaxItems);
        var wanted = Frugal(depth) ? min : Math.Min(max, Math.Max(min, 1 + _random.Below(2)));
        if (schema["items"] is JsonValue || (schema["items"] is null && min == 0)) return made;
        while (made.Count < wanted && _nodes < MaxNodes) made.Add(Value(schema["items"], depth + 1));
        return made;
    }

    private string Text(MergedSchema schema)
    {
        if (Word(schema, "pattern") is { } pattern && Matching(pattern) is { } matching) return matching;
        var text = Word(schema, "format") switch
        {
            "date-time" => $"2026-0{1 + _random.Below(9)}-1{_random.Below(10)}T0{_random.Below(10)}:30:00Z",
            "date" => $"2026-0{1 + _random.Below(9)}-1{_random.Below(10)}",
            "time" => $"0{_random.Below(10)}:30:00Z",
            "duration" => $"PT{1 + _random.Below(59)}M",
            "email" => $"{SentenceGenerator.Word(_random)}@example.com",
            "hostname" => $"{SentenceGenerator.Word(_random)}.example.com",
            "ipv4" => $"192.0.2.{1 + _random.Below(254)}",
            "ipv6" => $"2001:db8::{1 + _random.Below(9)}",
            "uuid" => $"{(uint)_random.Next():x8}-{_random.Below(65536):x4}-4{_random.Below(4096):x3}-"
                + $"a{_random.Below(4096):x3}-{_random.Next() & 0xFFFFFFFFFFFF:x12}",
            "uri" or "url" => $"https://example.com/{SentenceGenerator.Word(_random)}",
            _ => null,
        };
        if (text is not null) return text;
        text = SentenceGenerator.Word(_random);
        var min = (int)Math.Clamp(Bound(schema, "minLength") ?? 0, 0, 10_000);
        if (text.Length < min && _characters < MaxCharacters)
        {
            // Filled with one word, so that length costs no more than copying.
            var filling = " " + SentenceGenerator.Word(_random);
            text = string.Concat(text,
                string.Concat(Enumerable.Repeat(filling, (min - text.Length + filling.Length - 1) / filling.Length)));
        }
        _characters += text.Length;
        if (Bound(schema, "maxLength") is { } max && text.Length > max) text = text[..(int)Math.Max(0, max)];
        return text;
    }

    // Compiling costs more than all the rest, so it is limited to some patterns and done once for each of them.
    private string? Matching(string text)
    {
        if (_characters >= MaxCharacters) return null;
        if (!_patterns.TryGetValue(text, out var pattern))
        {
            if (text.Length > SchemaPattern.MaxLength || _patterns.Count == SchemaPattern.MaxCount) return null;
            var size = SchemaPattern.SizeOf(text);
            var isUsable = size <= SchemaPattern.MaxSize && _patternSize + size <= SchemaPattern.MaxTotalSize;
            if (isUsable) _patternSize += size;
            _patterns[text] = pattern = isUsable ? new SchemaPattern(text) : null;
        }
        if (pattern is null) return null;
        if (PatternText.TryMake(pattern, _random) is not { } made)
        {
            _patterns[text] = null;
            return null;
        }
        _characters += made.Length;
        return made;
    }

    private JsonValue Integer(MergedSchema schema)
    {
        var range = RangeOf(schema);
        var min = range.OpenBelow ? Math.Floor(range.Min) + 1 : Math.Ceiling(range.Min);
        var max = range.OpenAbove ? Math.Ceiling(range.Max) - 1 : Math.Floor(range.Max);
        var value = Bound(schema, "multipleOf") is { } step and >= 1
            ? Multiple(step, min, max)
            : min + _random.Below((int)Math.Clamp(max - min, 0, 1000) + 1);
        return JsonValue.Create((long)Math.Clamp(value, -9e15, 9e15));
    }

    private JsonValue Number(MergedSchema schema)
    {
        var (min, max, openBelow, openAbove) = RangeOf(schema);
        if (Bound(schema, "multipleOf") is { } step and > 0)
        {
            if (openBelow && min % step == 0) min += step;
            if (openAbove && max % step == 0) max -= step;
            return JsonValue.Create(Multiple(step, min, max));
        }
        // Never at the ends, so that it does not matter whether the range includes them.
        var value = min + ((max - min) * (1 + _random.Below(999)) / 1000);
        var rounded = Math.Round(value, 2);
        return JsonValue.Create(rounded > min && rounded < max ? rounded : value);
    }

    private double Multiple(double step, double min, double max)
    {
        var first = Math.Ceiling(min / step);
        var steps = Math.Clamp(Math.Floor(max / step) - first, 0, 1000);
        // In decimals, because 3 * 0.1 is not 0.3 in binary.
        return (double)((decimal)Math.Clamp(first + _random.Below((int)steps + 1), -1e15, 1e15) * (decimal)Math.Clamp(step, 1e-9, 1e12));
    }

    private static (double Min, double Max, bool OpenBelow, bool OpenAbove) RangeOf(MergedSchema schema)
    {
        var (minimum, above) = (Bound(schema, "minimum"), Bound(schema, "exclusiveMinimum"));
        var (maximum, below) = (Bound(schema, "maximum"), Bound(schema, "exclusiveMaximum"));
        var openBelow = above is not null && !(minimum > above);
        var openAbove = below is not null && !(maximum < below);
        var min = openBelow ? above : minimum;
        var max = openAbove ? below : maximum;
        var span = 100 * Math.Max(1, Bound(schema, "multipleOf") ?? 1);
        return (min ?? (max is { } m ? m > 0 ? 0 : m - span : 0), max ?? ((min ?? 0) + span), openBelow, openAbove);
    }

    private static string? TypeOf(MergedSchema schema)
    {
        if (Word(schema, "type") is { } type) return type;
        if (schema["type"] is JsonArray types)
        {
            string? first = null;
            foreach (var one in types)
            {
                if (one?.GetValueKind() != JsonValueKind.String) continue;
                var name = (string)one!;
                if (name != "null") return name;
                first ??= name;
            }
            return first;
        }
        return schema.Has("properties") || schema.Has("required") ? "object"
            : schema.Has("items") || schema.Has("prefixItems") ? "array"
            : schema.Has("minimum") || schema.Has("maximum") || schema.Has("multipleOf") ? "number"
            : schema.Has("not") || schema.Has("if") ? null
            : "string";
    }

    private static string? Word(MergedSchema schema, string name) =>
        schema[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? (string)value! : null;

    private static double? Bound(MergedSchema schema, string name) =>
        schema[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue<double>(out var number)
            && double.IsFinite(number) ? number : null;
}

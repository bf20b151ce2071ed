using System.Text.Json;
using Fairlead.StructuredOutput;

namespace Fairlead.Validation;

/// <summary>
/// Whether a JSON Schema is in the subset that strict structured output guarantees to follow (OpenAI's documented limits). A pure function;
/// its cost is limited by the size of the schema. References are resolved but not followed.
/// </summary>
internal static class StrictSchema
{
    public const int MaxProperties = 5_000;
    public const int MaxLevels = 10;
    public const int MaxEnumValues = 1_000;
    public const int MaxCharacters = 120_000;

    /// <summary>An enum with more values than this may hold at most <see cref="MaxLargeEnumCharacters"/> characters.</summary>
    public const int LargeEnum = 250;
    public const int MaxLargeEnumCharacters = 15_000;

    private static readonly HashSet<string> Annotations = new(StringComparer.Ordinal) { "title", "description", "$schema", "$comment",
        "$id" };

    private static readonly HashSet<string> Types = new(StringComparer.Ordinal) { "string", "number", "integer", "boolean", "object",
        "array", "null" };

    private static readonly HashSet<string> Formats = new(StringComparer.Ordinal)
    {
        "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
    };

    /// <summary>The first error, as a sentence that names its location in the schema; null if the schema is in the subset.</summary>
    public static string? FindError(JsonElement schema)
    {
        try
        {
            new Checker(schema).Root();
            return null;
        }
        catch (FaultException fault)
        {
            return fault.Message;
        }
    }

    /// <summary>The same over the bytes of one JSON value.</summary>
    public static string? FindError(ReadOnlyMemory<byte> schema)
    {
        try
        {
            using var document = JsonDocument.Parse(schema, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 256 });
            return FindError(document.RootElement);
        }
        catch (JsonException)
        {
            return "a property name occurs twice in one object";
        }
    }

    private sealed class FaultException(string message) : Exception(message);

    private sealed class Checker(JsonElement schema)
    {
        private readonly SchemaLocation _root = new(null, "", schema);
        private int _properties;
        private int _enumValues;
        private long _characters;

        public void Root()
        {
            var root = _root.Value;
            if (root.ValueKind != JsonValueKind.Object) throw new FaultException("the schema must be an object");
            if (root.TryGetProperty("anyOf", out _)) throw Fault(_root, "the root must not be 'anyOf'; wrap it in an object");
            if (!root.TryGetProperty("$ref", out _)
                && (!root.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || !type.ValueEquals("object")))
            {
                throw Fault(_root, "the root must have type 'object'");
            }
            Schema(_root, 1);
        }

        private void Schema(SchemaLocation path, int level)
        {
            var schema = path.Value;
            if (schema.ValueKind != JsonValueKind.Object)
                throw Fault(path, "a schema must be an object (boolean schemas are not supported)");
            if (level > MaxLevels) throw Fault(path, $"nesting deeper than {MaxLevels} levels is not supported");
            var (isObject, isArray, described) = (false, false, false);
            if (schema.TryGetProperty("type", out var type))
            {
                described = true;
                Type(type, path, out isObject, out isArray);
            }
            foreach (var member in path.Members)
            {
                var value = member.Value;
                var here = member;
                switch (member.Name)
                {
                    case "type":
                        break;
                    case "properties":
                        if (!isObject) throw Fault(path, "'properties' needs type 'object'");
                        Properties(path, here, level);
                        break;
                    case "required":
                        Required(path, here);
                        break;
                    case "additionalProperties":
                        if (value.ValueKind != JsonValueKind.False) throw Fault(path, "'additionalProperties' must be false");
                        break;
                    case "items":
                        if (!isArray) throw Fault(path, "'items' needs type 'array'");
                        Schema(here, level + 1);
                        break;
                    case "anyOf":
                        described = true;
                        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
                            throw Fault(path, "'anyOf' must be an array with at least one schema");
                        foreach (var item in here.Items) Schema(item, level);
                        break;
                    case "$defs" or "definitions":
                        if (value.ValueKind != JsonValueKind.Object) throw Fault(path, $"'{member.Name}' must be an object");
                        foreach (var definition in here.Members)
                        {
                            Count(definition.Name.Length, here);
                            Schema(definition, 1);
                        }
                        break;
                    case "$ref":
                        described = true;
                        if (value.ValueKind != JsonValueKind.String || !Resolves(value.GetString()!))
                            throw Fault(path, "'$ref' must be '#' or point at a definition of this schema");
                        break;
                    case "enum":
                        described = true;
                        Enum(value, path, here);
                        break;
                    case "const":
                        described = true;
                        Count(LengthOf(value), here);
                        break;
                    case "format":
                        if (value.ValueKind != JsonValueKind.String || !Formats.Contains(value.GetString()!))
                            throw Fault(path, $"'format' must be one of {string.Join(", ", Formats)}");
                        break;
                    case "pattern":
                        if (value.ValueKind != JsonValueKind.String) throw Fault(path, "'pattern' must be a string");
                        break;
                    case "multipleOf" or "minimum" or "maximum" or "exclusiveMinimum" or "exclusiveMaximum":
                        if (value.ValueKind != JsonValueKind.Number) throw Fault(path, $"'{member.Name}' must be a number");
                        break;
                    case "minItems" or "maxItems":
                        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var items) || items < 0)
                            throw Fault(path, $"'{member.Name}' must be an integer of at least 0");
                        break;
                    default:
                        if (!Annotations.Contains(member.Name)) throw Fault(path, $"'{member.Name}' is not supported in strict mode");
                        break;
                }
            }
            if (isObject)
            {
                if (!schema.TryGetProperty("additionalProperties", out _))
                    throw Fault(path, "'additionalProperties' is required and must be false");
                if (schema.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object
                    && properties.EnumerateObject().Any() && !schema.TryGetProperty("required", out _))
                {
                    throw Fault(path, "'required' must list every property");
                }
            }
            if (isArray && !schema.TryGetProperty("items", out _)) throw Fault(path, "an array needs 'items'");
            if (!described) throw Fault(path, "a schema must have a 'type'");
        }

        private static void Type(JsonElement type, SchemaLocation path, out bool isObject, out bool isArray)
        {
            (isObject, isArray) = (false, false);
            if (type.ValueKind == JsonValueKind.Array && type.GetArrayLength() > 0)
            {
                foreach (var item in type.EnumerateArray()) One(item, path, ref isObject, ref isArray);
                return;
            }
            One(type, path, ref isObject, ref isArray);

            static void One(JsonElement type, SchemaLocation path, ref bool isObject, ref bool isArray)
            {
                if (type.ValueKind != JsonValueKind.String || !Types.Contains(type.GetString()!))
                    throw Fault(path, $"'type' must be one of {string.Join(", ", Types)}, or a list of them");
                isObject |= type.ValueEquals("object");
                isArray |= type.ValueEquals("array");
            }
        }

        private void Properties(SchemaLocation path, SchemaLocation here, int level)
        {
            if (here.Value.ValueKind != JsonValueKind.Object) throw Fault(path, "'properties' must be an object");
            HashSet<string>? required = null;
            if (path.Step("required") is { Value.ValueKind: JsonValueKind.Array } list)
            {
                required = list.Value.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String)
                    .Select(item => item.GetString()!).ToHashSet(StringComparer.Ordinal);
            }
            foreach (var property in here.Members)
            {
                if (++_properties > MaxProperties) throw Fault(here, $"more than {MaxProperties} properties in all are not supported");
                Count(property.Name.Length, here);
                if (required?.Contains(property.Name) != true)
                {
                    throw Fault(path, $"'required' must list every property, but '{Shown(property.Name)}' is missing; "
                        + "make it optional with type [..., \"null\"]");
                }
                Schema(property, level + 1);
            }
        }

        private static void Required(SchemaLocation path, SchemaLocation required)
        {
            if (required.Value.ValueKind != JsonValueKind.Array) throw Fault(path, "'required' must be an array of strings");
            var known = path.Step("properties");
            foreach (var item in required.Value.EnumerateArray())
            {
                if (item.ValueKind != JsonValueKind.String) throw Fault(path, "'required' must be an array of strings");
                var name = item.GetString()!;
                if (known is not { Value.ValueKind: JsonValueKind.Object } || known.Step(name) is null)
                    throw Fault(path, $"'required' names '{Shown(name)}', which is not a property");
            }
        }

        private void Enum(JsonElement values, SchemaLocation path, SchemaLocation here)
        {
            if (values.ValueKind != JsonValueKind.Array || values.GetArrayLength() == 0)
                throw Fault(path, "'enum' must be an array with at least one value");
            var (count, characters) = (0, 0L);
            foreach (var value in values.EnumerateArray())
            {
                count++;
                characters += LengthOf(value);
            }
            if ((_enumValues += count) > MaxEnumValues)
                throw Fault(here, $"more than {MaxEnumValues} enum values in all are not supported");
            if (count > LargeEnum && characters > MaxLargeEnumCharacters)
                throw Fault(here, $"an enum of more than {LargeEnum} values may hold at most {MaxLargeEnumCharacters} characters");
            Count(characters, here);
        }

        private void Count(long characters, SchemaLocation path)
        {
            if ((_characters += characters) > MaxCharacters)
                throw Fault(path, $"names, enum and const values may hold at most {MaxCharacters} characters in all");
        }

        private static long LengthOf(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()!.Length
            : value.GetRawText().Length;

        private bool Resolves(string reference)
        {
            if (reference == "#") return true;
            if (!reference.StartsWith("#/", StringComparison.Ordinal)) return false;
            var at = _root;
            var pointer = reference.AsSpan(2);
            foreach (var step in pointer.Split('/'))
            {
                if (at.Step(pointer[step].ToString().Replace("~1", "/", StringComparison.Ordinal)
                    .Replace("~0", "~", StringComparison.Ordinal)) is not { } inside)
                {
                    return false;
                }

                at = inside;
            }
            return at.Value.ValueKind == JsonValueKind.Object;
        }

        private static string Shown(string name) => Dialects.RequestErrors.Shown(name);

        private static FaultException Fault(SchemaLocation place, string message) =>
            new($"at '{(place.Pointer() is { Length: > 0 } pointer ? "#/" + pointer : "#")}', {message}");
    }
}

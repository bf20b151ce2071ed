using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Fairlead.StructuredOutput;

/// <summary>
/// A schema that outputs are held against: JSON Schema 2020-12 as far as the keywords below go. What it does not know it refuses, so that nothing is taken
/// for checked that is not. Immutable; thread-safe.
/// </summary>
internal sealed class OutputSchema
{
    private const int MaxNodes = 10_000;

    private static readonly HashSet<string> Notes = new(StringComparer.Ordinal) { "title", "description", "$schema", "$id", "$comment", "default", "examples", "deprecated", "readOnly", "writeOnly", "$defs", "definitions" };

    private static readonly HashSet<string> TypeNames = new(StringComparer.Ordinal) { "object", "array", "string", "number", "integer", "boolean", "null" };

    private readonly SchemaNode _root;

    private OutputSchema(SchemaNode root) => _root = root;

    public SchemaNode Root => _root;

    /// <summary>Makes a schema ready, or says what in it cannot be checked.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="fault">JSON Pointer into it without the first slash, and the reason.</param>
    public static OutputSchema? Compile(JsonElement schema, out (string At, string Reason) fault)
    {
        fault = default;
        try
        {
            return new OutputSchema(new Compiler(schema.Clone()).Root());
        }
        catch (SchemaFaultException wrong)
        {
            fault = (wrong.At, wrong.Message);
            return null;
        }
    }

    /// <summary>What is wrong with a finished output; nothing when it satisfies the schema.</summary>
    public IReadOnlyList<SchemaViolation> Check(ReadOnlyMemory<byte> output)
    {
        try
        {
            using var document = JsonDocument.Parse(output, PartialJson.DocumentOptions);
            var check = new SchemaCheck(SchemaCheck.MostNoted);
            _root.Check(document.RootElement, "", check);
            return check.Violations;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return [new SchemaViolation("", "The output is not one JSON document.")];
        }
    }

    private sealed class SchemaFaultException(string at, string reason) : Exception(reason)
    {
        public string At => at;
    }

    private sealed class Compiler(JsonElement root)
    {
        private readonly Dictionary<string, SchemaNode> _byPointer = new(StringComparer.Ordinal);

        public SchemaNode Root() => At("", root);

        private SchemaNode At(string pointer, JsonElement schema)
        {
            if (_byPointer.TryGetValue(pointer, out var known)) return known;
            if (_byPointer.Count == MaxNodes) throw Fault(pointer, string.Create(CultureInfo.InvariantCulture, $"it has more than {MaxNodes:N0} schemas"));
            if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False) return _byPointer[pointer] = schema.ValueKind == JsonValueKind.True ? SchemaNode.Anything : SchemaNode.Never;
            if (schema.ValueKind != JsonValueKind.Object) throw Fault(pointer, "a schema is an object or a boolean");
            // Noted before its parts are looked at, since they may refer to it.
            var node = _byPointer[pointer] = new SchemaNode();
            foreach (var member in schema.EnumerateObject()) Keyword(node, member.Name, member.Value, SchemaNode.Under(pointer, member.Name));
            return node;
        }

        private void Keyword(SchemaNode node, string keyword, JsonElement value, string at)
        {
            switch (keyword)
            {
                case "$ref": node.Reference = Resolve(Text(value, at), at); break;
                case "type": node.Types = TypesOf(value, at); break;
                case "properties": node.Properties = PropertiesOf(value, at); break;
                case "required": node.Required = [.. Items(value, at).Select(name => Text(name, at))]; break;
                case "additionalProperties": node.Additional = At(at, value); break;
                case "minProperties": node.MinProperties = Count(value, at); break;
                case "maxProperties": node.MaxProperties = Count(value, at); break;
                case "items": node.Items = At(at, value); break;
                case "prefixItems": node.Prefix = Branches(value, at); break;
                case "minItems": node.MinItems = Count(value, at); break;
                case "maxItems": node.MaxItems = Count(value, at); break;
                case "enum": node.Values = [.. Items(value, at)]; break;
                case "const": node.Values = [value]; break;
                case "anyOf": node.AnyOf = Branches(value, at); break;
                case "oneOf": node.OneOf = Branches(value, at); break;
                case "allOf": node.AllOf = Branches(value, at); break;
                case "minimum": node.Minimum = Number(value, at); break;
                case "maximum": node.Maximum = Number(value, at); break;
                case "exclusiveMinimum": node.ExclusiveMinimum = Number(value, at); break;
                case "exclusiveMaximum": node.ExclusiveMaximum = Number(value, at); break;
                case "multipleOf": node.MultipleOf = Number(value, at) is > 0 and var step ? step : throw Fault(at, "it is a number above 0"); break;
                case "minLength": node.MinLength = Count(value, at); break;
                case "maxLength": node.MaxLength = Count(value, at); break;
                case "pattern": node.Pattern = PatternOf(value, at); break;
                case "format": node.Format = Text(value, at); break;
                default:
                    if (!Notes.Contains(keyword)) throw Fault(at, "this keyword cannot be checked while an output is made");
                    break;
            }
        }

        private SchemaNode Resolve(string reference, string at)
        {
            if (reference == "#") return At("", root);
            if (!reference.StartsWith("#/", StringComparison.Ordinal)) throw Fault(at, "it is '#' or points into this schema ('#/$defs/…')");
            var (pointer, place) = ("", root);
            foreach (var escaped in reference[2..].Split('/'))
            {
                var name = Uri.UnescapeDataString(escaped).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
                pointer = SchemaNode.Under(pointer, name);
                if (place.ValueKind == JsonValueKind.Object && place.TryGetProperty(name, out var member)) place = member;
                else if (place.ValueKind == JsonValueKind.Array && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < place.GetArrayLength()) place = place[index];
                else throw Fault(at, "it points at nothing");
            }
            return At(pointer, place);
        }

        private static List<string> TypesOf(JsonElement value, string at)
        {
            var types = value.ValueKind == JsonValueKind.String ? [value.GetString()!] : Items(value, at).Select(type => Text(type, at)).ToList();
            return types.Count > 0 && types.TrueForAll(TypeNames.Contains) ? types : throw Fault(at, $"a type is one of {string.Join(", ", TypeNames)}");
        }

        private Dictionary<string, SchemaNode> PropertiesOf(JsonElement value, string at)
        {
            if (value.ValueKind != JsonValueKind.Object) throw Fault(at, "it is an object of schemas");
            return value.EnumerateObject().ToDictionary(member => member.Name, member => At(SchemaNode.Under(at, member.Name), member.Value), StringComparer.Ordinal);
        }

        private List<SchemaNode> Branches(JsonElement value, string at)
        {
            var branches = Items(value, at).Select((branch, index) => At($"{at}/{index.ToString(CultureInfo.InvariantCulture)}", branch)).ToList();
            return branches.Count > 0 ? branches : throw Fault(at, "it is an array with at least one schema");
        }

        // In time that grows with the text and not faster, whatever the pattern is.
        private static Regex PatternOf(JsonElement value, string at)
        {
            try
            {
                return new Regex(Text(value, at), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
            }
            catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
            {
                throw Fault(at, "it is not a regular expression, or one with look-around or back references");
            }
        }

        private static JsonElement.ArrayEnumerator Items(JsonElement value, string at) => value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : throw Fault(at, "it is an array");

        private static string Text(JsonElement value, string at) => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Fault(at, "it is a string");

        private static int Count(JsonElement value, string at) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var count) && count >= 0 ? count : throw Fault(at, "it is a whole number from 0");

        private static decimal Number(JsonElement value, string at) => value.ValueKind == JsonValueKind.Number && value.TryGetDecimal(out var number) ? number : throw Fault(at, "it is a number of at most 28 digits");

        private static SchemaFaultException Fault(string pointer, string reason) => new(pointer.TrimStart('/'), reason);
    }
}

using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.StructuredOutput;

/// <summary>
/// A schema for checking outputs: JSON Schema 2020-12 with the keywords below. It refuses unknown keywords, so that nothing counts as
/// checked that is not. Immutable; thread-safe.
/// </summary>
internal sealed class OutputSchema
{
    private const int MaxNodes = 10_000;

    /// <summary>Maximum schemas that lead from one to the next for the same value, by reference or as branches.</summary>
    private const int MaxReferenceDepth = 100;

    private static readonly HashSet<string> Notes = new(StringComparer.Ordinal) { "title", "description", "$schema", "$id", "$comment",
        "default", "examples", "deprecated", "readOnly", "writeOnly", "$defs", "definitions" };

    private static readonly HashSet<string> TypeNames = new(StringComparer.Ordinal) { "object", "array", "string", "number", "integer",
        "boolean", "null" };

    private readonly SchemaNode _root;
    private readonly IReadOnlyList<(string At, SchemaPattern Pattern)> _patterns;

    private OutputSchema(SchemaNode root, IReadOnlyList<(string At, SchemaPattern Pattern)> patterns)
    {
        _root = root;
        _patterns = patterns;
    }

    public SchemaNode Root => _root;

    /// <summary>Compiles a schema, or reports what in it cannot be checked.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="fault">JSON Pointer into it without the first slash, and the reason.</param>
    public static OutputSchema? Compile(JsonElement schema, out (string At, string Reason) fault)
    {
        fault = default;
        try
        {
            var compiler = new Compiler(schema.Clone());
            return new OutputSchema(compiler.Root(), compiler.Patterns);
        }
        catch (InvalidSchemaException wrong)
        {
            fault = (wrong.At, wrong.Message);
            return null;
        }
    }

    /// <summary>
    /// Compiles the patterns; returns the location of the first that cannot be matched in linear time, or null. Not before the model is
    /// known and the caller may use it.
    /// </summary>
    public string? CompilePatterns()
    {
        foreach (var (at, pattern) in _patterns)
        {
            if (!pattern.TryCompile()) return at;
        }
        return null;
    }

    /// <summary>The violations of a finished output; empty when it satisfies the schema.</summary>
    public IReadOnlyList<SchemaViolation> Check(ReadOnlyMemory<byte> output)
    {
        try
        {
            using var document = JsonDocument.Parse(output, PartialJson.DocumentOptions);
            var check = new SchemaCheck(SchemaCheck.MaxNoted, SchemaCheck.BudgetFor(output.Length));
            _root.Check(document.RootElement, null, check);
            return check.Violations;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return [new SchemaViolation("", "The output is not one JSON document.")];
        }
    }

    private sealed class InvalidSchemaException(string at, string reason) : Exception(reason)
    {
        public string At => at;
    }

    /// <summary>
    /// Compiles without recursion: a new schema is noted and read later. So neither a chain of references nor deep nesting needs stack.
    /// </summary>
    private sealed class Compiler(JsonElement root)
    {
        private readonly SchemaLocation _root = new(null, "", root);
        private readonly Queue<(SchemaNode Node, SchemaLocation Place)> _unread = new();
        private readonly List<SchemaNode> _all = [];
        private readonly Dictionary<string, SchemaPattern> _patterns = new(StringComparer.Ordinal);
        private readonly List<(string At, SchemaPattern Pattern)> _places = [];
        private long _patternSize;

        public IReadOnlyList<(string At, SchemaPattern Pattern)> Patterns => _places;

        public SchemaNode Root()
        {
            var node = At(_root);
            while (_unread.TryDequeue(out var next))
            {
                foreach (var member in next.Place.Members) Keyword(next.Node, member);
            }
            if (ReferenceDepth.Of(_all) > MaxReferenceDepth)
            {
                throw Fault(_root, string.Create(CultureInfo.InvariantCulture,
                    $"more than {MaxReferenceDepth} of its schemas refer to each other for the same value"));
            }

            return node;
        }

        private SchemaNode At(SchemaLocation place)
        {
            if (place.Node is { } known) return known;
            switch (place.Value.ValueKind)
            {
                case JsonValueKind.True: return place.Node = SchemaNode.Anything;
                case JsonValueKind.False: return place.Node = SchemaNode.Never;
                case JsonValueKind.Object: break;
                default: throw Fault(place, "a schema must be an object or a boolean");
            }
            if (_all.Count == MaxNodes)
                throw Fault(place, string.Create(CultureInfo.InvariantCulture, $"it has more than {MaxNodes:N0} schemas"));
            var node = place.Node = new SchemaNode();
            _all.Add(node);
            _unread.Enqueue((node, place));
            return node;
        }

        private void Keyword(SchemaNode node, SchemaLocation at)
        {
            switch (at.Name)
            {
                case "$ref": node.Reference = Resolve(at); break;
                case "type": node.Types = TypesOf(at); break;
                case "properties": node.Properties = PropertiesOf(at); break;
                case "required": node.Required = [.. Items(at).Select(Text).Distinct(StringComparer.Ordinal)]; break;
                case "additionalProperties": node.Additional = At(at); break;
                case "minProperties": node.MinProperties = Count(at); break;
                case "maxProperties": node.MaxProperties = Count(at); break;
                case "items": node.Items = At(at); break;
                case "prefixItems": node.Prefix = Branches(at); break;
                case "minItems": node.MinItems = Count(at); break;
                case "maxItems": node.MaxItems = Count(at); break;
                case "enum": node.Values = [.. Items(at).Select(item => item.Value)]; break;
                case "const": node.Values = [at.Value]; break;
                case "anyOf": node.AnyOf = Branches(at); break;
                case "oneOf": node.OneOf = Branches(at); break;
                case "allOf": node.AllOf = Branches(at); break;
                case "minimum": node.Minimum = Number(at); break;
                case "maximum": node.Maximum = Number(at); break;
                case "exclusiveMinimum": node.ExclusiveMinimum = Number(at); break;
                case "exclusiveMaximum": node.ExclusiveMaximum = Number(at); break;
                case "multipleOf": node.MultipleOf = Number(at) is > 0 and var step ? step
                    : throw Fault(at, "it must be a number above 0"); break;
                case "minLength": node.MinLength = Count(at); break;
                case "maxLength": node.MaxLength = Count(at); break;
                case "pattern": node.Pattern = PatternOf(at); break;
                case "format": node.Format = Text(at); break;
                default:
                    if (!Notes.Contains(at.Name)) throw Fault(at, "this keyword cannot be checked while an output is generated");
                    break;
            }
        }

        private SchemaNode Resolve(SchemaLocation at)
        {
            var reference = Text(at);
            if (reference == "#") return At(_root);
            if (!reference.StartsWith("#/", StringComparison.Ordinal))
                throw Fault(at, "it must be '#' or point into this schema ('#/$defs/…')");
            var place = _root;
            // The steps of an existing path are at most as deep as the schema.
            foreach (var step in reference.AsSpan(2).Split('/'))
            {
                var name = Uri.UnescapeDataString(reference.AsSpan(2)[step]).Replace("~1", "/", StringComparison.Ordinal)
                    .Replace("~0", "~", StringComparison.Ordinal);
                place = place.Step(name) ?? throw Fault(at, "its target does not exist");
            }
            return At(place);
        }

        private static List<string> TypesOf(SchemaLocation at)
        {
            var types = at.Value.ValueKind == JsonValueKind.String ? [at.Value.GetString()!] : Items(at).Select(Text)
                .Distinct(StringComparer.Ordinal).ToList();
            return types.Count > 0 && types.TrueForAll(TypeNames.Contains) ? types
                : throw Fault(at, $"a type must be one of {string.Join(", ", TypeNames)}");
        }

        private Dictionary<string, SchemaNode> PropertiesOf(SchemaLocation at)
        {
            if (at.Value.ValueKind != JsonValueKind.Object) throw Fault(at, "it must be an object of schemas");
            return at.Members.ToDictionary(member => member.Name, At, StringComparer.Ordinal);
        }

        private List<SchemaNode> Branches(SchemaLocation at)
        {
            var branches = Items(at).Select(At).ToList();
            return branches.Count > 0 ? branches : throw Fault(at, "it must be an array with at least one schema");
        }

        // Measured, not compiled: compiling waits until the call is known to be allowed.
        private SchemaPattern PatternOf(SchemaLocation at)
        {
            var text = Text(at);
            if (_patterns.TryGetValue(text, out var known)) return known;
            if (text.Length > SchemaPattern.MaxLength)
                throw Fault(at, string.Create(CultureInfo.InvariantCulture, $"it is longer than {SchemaPattern.MaxLength:N0} characters"));
            if (_patterns.Count == SchemaPattern.MaxCount)
                throw Fault(at, $"the schema has more than {SchemaPattern.MaxCount} different patterns");
            var size = SchemaPattern.SizeOf(text);
            if (size == SchemaPattern.Unknown) throw Fault(at, "the option x is not supported");
            if (size > SchemaPattern.MaxSize)
            {
                throw Fault(at, string.Create(CultureInfo.InvariantCulture,
                    $"the pattern is too large: its characters times their repetitions are more than {SchemaPattern.MaxSize:N0}"));
            }

            if ((_patternSize += size) > SchemaPattern.MaxTotalSize)
            {
                throw Fault(at, string.Create(CultureInfo.InvariantCulture,
                    $"the patterns of the schema are too large together: "
                    + $"their characters times their repetitions are more than {SchemaPattern.MaxTotalSize:N0}"));
            }

            var pattern = _patterns[text] = new SchemaPattern(text);
            _places.Add((at.Pointer(), pattern));
            return pattern;
        }

        private static IReadOnlyList<SchemaLocation> Items(SchemaLocation at) => at.Value.ValueKind == JsonValueKind.Array ? at.Items
            : throw Fault(at, "it must be an array");

        private static string Text(SchemaLocation at) => at.Value.ValueKind == JsonValueKind.String ? at.Value.GetString()!
            : throw Fault(at, "it must be a string");

        private static int Count(SchemaLocation at) => at.Value.ValueKind == JsonValueKind.Number && at.Value.TryGetInt32(out var count)
            && count >= 0 ? count : throw Fault(at, "it must be a non-negative integer");

        private static decimal Number(SchemaLocation at) => at.Value.ValueKind == JsonValueKind.Number
            && at.Value.TryGetDecimal(out var number) ? number : throw Fault(at, "it must be a number of at most 28 digits");

        private static InvalidSchemaException Fault(SchemaLocation place, string reason) => new(place.Pointer(), reason);
    }
}

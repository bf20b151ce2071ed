using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// The schemas of one request, each with what its references and its <c>allOf</c> add to it. Nothing is copied: a merged schema refers to
/// the parts of the request. Each is created once, in a limited number of steps for all of them, without recursion. Not thread-safe.
/// </summary>
internal sealed class MergedSchemas(JsonObject root)
{
    /// <summary>Maximum number of members that are read; only a schema built to be expensive has more.</summary>
    private const int MaxSteps = 500_000;

    /// <summary>Schemas that are merged into one.</summary>
    private const int MaxParts = 2_000;

    private readonly Dictionary<JsonObject, MergedSchema> _made = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, JsonObject?> _found = new(StringComparer.Ordinal);
    private int _steps;

    /// <summary>Whether all steps are used up: then only the simplest values are created.</summary>
    public bool IsExhausted => _steps > MaxSteps;

    public bool Spend(int steps) => (_steps += steps) <= MaxSteps;

    public MergedSchema Of(JsonObject schema)
    {
        if (_made.TryGetValue(schema, out var known)) return known;
        var merged = new MergedSchema();
        if (!IsExhausted) Merge(schema, merged);
        return _made[schema] = merged;
    }

    /// <summary>
    /// Adds the parts of <paramref name="schema"/> and itself. Later ones win: references first, then those of allOf, then its own members.
    /// </summary>
    private void Merge(JsonObject schema, MergedSchema merged)
    {
        // Each part is added once: one that refers to itself adds nothing new.
        var met = new HashSet<JsonObject>(ReferenceEqualityComparer.Instance);
        var open = new Stack<(JsonObject Part, bool IsDone)>();
        open.Push((schema, false));
        while (open.TryPop(out var next))
        {
            if (next.IsDone)
            {
                if (!Spend(next.Part.Count + 1)) return;
                merged.Add(next.Part, this);
                continue;
            }
            if (met.Count == MaxParts || !met.Add(next.Part)) continue;
            open.Push((next.Part, true));
            if (next.Part["allOf"] is JsonArray all)
            {
                if (!Spend(all.Count)) return;
                for (var i = all.Count - 1; i >= 0; i--)
                {
                    if (all[i] is JsonObject part) open.Push((part, false));
                }
            }
            if (next.Part["$ref"] is JsonValue value && value.GetValueKind() == JsonValueKind.String && Find((string)value!) is { } target)
            {
                open.Push((target, false));
            }
        }
    }

    private JsonObject? Find(string reference)
    {
        if (_found.TryGetValue(reference, out var known)) return known;
        if (reference == "#") return root;
        if (!reference.StartsWith("#/", StringComparison.Ordinal)) return null;
        JsonNode? at = root;
        var pointer = reference.AsSpan(2);
        foreach (var step in pointer.Split('/'))
        {
            if (at is null || !Spend(1)) return null;
            var name = pointer[step].ToString().Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            at = at switch
            {
                JsonObject members => members[name],
                JsonArray items =>
                    int.TryParse(name, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture,
                        out var index) && index < items.Count ? items[index] : null,
                _ => null,
            };
        }
        return _found[reference] = at as JsonObject;
    }
}

/// <summary>One schema with what its references and its <c>allOf</c> add.</summary>
internal sealed class MergedSchema
{
    private readonly Dictionary<string, JsonNode?> _keywords = new(StringComparer.Ordinal);

    public JsonNode? this[string keyword] => _keywords.GetValueOrDefault(keyword);

    /// <summary>Those of all parts, in their order.</summary>
    public OrderedDictionary<string, JsonNode?> Properties { get; } = new(StringComparer.Ordinal);

    /// <summary>Those of all parts.</summary>
    public HashSet<string> Required { get; } = new(StringComparer.Ordinal);

    /// <summary>The branch that ends a recursion first; null until it is needed.</summary>
    public JsonNode? Simplest { get; set; }

    public bool TryGet(string keyword, out JsonNode? value) => _keywords.TryGetValue(keyword, out value);

    public bool Has(string keyword) => _keywords.ContainsKey(keyword);

    public void Add(JsonObject part, MergedSchemas schemas)
    {
        foreach (var (name, value) in part)
        {
            if (name is "allOf" or "$ref") continue;
            _keywords[name] = value;
            if (name == "properties" && value is JsonObject properties && schemas.Spend(properties.Count))
            {
                foreach (var (property, inner) in properties) Properties[property] = inner;
            }
            else if (name == "required" && value is JsonArray required && schemas.Spend(required.Count))
            {
                foreach (var item in required)
                {
                    if (item?.GetValueKind() == JsonValueKind.String) Required.Add((string)item!);
                }
            }
        }
    }
}

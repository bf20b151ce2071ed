using System.Collections.Concurrent;
using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Common.JsonSchema;

/// <summary>Schema documents by name, so that one can refer to another: <c>error.json#/$defs/advice</c>. Thread-safe.</summary>
public sealed class SchemaSet
{
    /// <summary>The schemas of this project, in its folder Schemas.</summary>
    public static readonly SchemaSet Own = new(ReadOwn);

    private readonly ConcurrentDictionary<string, JsonNode> _documents = new(StringComparer.Ordinal);
    private readonly Func<string, JsonNode> _read;

    public SchemaSet(Func<string, JsonNode> read) => _read = read;

    /// <summary>The schema at <paramref name="reference"/>: a document's name, with a JSON Pointer behind <c>#</c> for a part of it.</summary>
    public Schema Get(string reference)
    {
        var cut = reference.IndexOf('#', StringComparison.Ordinal);
        return Resolve(cut < 0 ? reference : reference[..cut], cut < 0 ? "" : reference[cut..]);
    }

    /// <summary>What <paramref name="reference"/> means inside the document <paramref name="from"/>.</summary>
    internal Schema Resolve(string from, string reference)
    {
        if (reference.Length > 0 && reference[0] != '#') return Get(reference);
        var node = _documents.GetOrAdd(from, _read);
        foreach (var part in reference.TrimStart('#').Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            var name = part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            node = node[name] ?? throw new InvalidOperationException($"{from}{reference}: there is no {name}.");
        }
        return new Schema(this, from, node);
    }

    private static JsonNode ReadOwn(string name)
    {
        using var stream = typeof(SchemaSet).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"There is no schema {name}.");
        return JsonNode.Parse(stream)!;
    }
}

/// <summary>One schema, at its place in a document.</summary>
public sealed record Schema(SchemaSet Set, string Document, JsonNode Node)
{
    /// <summary>What is wrong with <paramref name="value"/>; empty when it fits.</summary>
    public IReadOnlyList<string> Faults(JsonNode? value, SchemaRules? rules = null)
    {
        var faults = new List<string>();
        new SchemaValidator(rules ?? SchemaRules.Strict).Check(this, value, "$", faults);
        return faults;
    }

    internal Schema At(JsonNode node) => this with { Node = node };
}

using System.Text.Json.Nodes;

namespace Fairlead.Configuration;

/// <summary>One key of a section, for the reader, the schema and the documentation.</summary>
internal abstract class ConfigKey(string name, ConfigType type, string summary)
{
    public string Name { get; } = name;

    public ConfigType Type { get; } = type;

    /// <summary>One sentence for people.</summary>
    public string Summary { get; } = summary;

    /// <summary>Another name by which it can be written, as an admin request does; null for none.</summary>
    public string? Alias { get; init; }

    public bool Required { get; init; }

    /// <summary>Whether a change takes effect only at the next start.</summary>
    public bool NeedsRestart { get; init; }

    /// <summary>The default as written in a file; null for none.</summary>
    public abstract string? Default { get; }
}

/// <inheritdoc/>
internal sealed class ConfigKey<T>(
    string name, ConfigType type, Func<T, object?> get, Func<T, object, T> set, string summary, Func<T>? seed = null)
    : ConfigKey(name, type, summary)
{
    // Read from the record that the program uses, so that the documented default is the real one.
    public override string? Default => seed is null || Required ? null : Type.Format(get(seed()));

    public T Apply(T target, object value) => set(target, value);

    public object? ValueOf(T section) => get(section);

    public ConfigKey<T> WithSeed(Func<T> from) =>
        new(Name, Type, get, set, Summary, from) { Alias = Alias, Required = Required, NeedsRestart = NeedsRestart };
}

/// <summary>A section: a closed set of keys.</summary>
internal abstract class ConfigObjectType : ConfigType
{
    public abstract IReadOnlyList<ConfigKey> Keys { get; }

    public override JsonObject Schema()
    {
        var properties = new JsonObject();
        foreach (var key in Keys)
        {
            var schema = key.Type.Schema();
            schema["description"] = key.Default is { Length: > 0 } value ? $"{key.Summary} Default {value}." : key.Summary;
            properties[key.Name] = schema;
            if (key.Alias is null) continue;
            var alias = key.Type.Schema();
            alias["description"] = $"Another name of `{key.Name}`.";
            properties[key.Alias] = alias;
        }
        var result = new JsonObject
        {
            ["type"] = new JsonArray("object", "null"),
            ["properties"] = properties,
            ["additionalProperties"] = false,
        };
        var required = Keys.Where(k => k.Required).Select(k => (JsonNode)k.Name).ToArray();
        if (required.Length > 0) result["required"] = new JsonArray(required);
        return result;
    }

    public override string Describe() => "section";

    /// <summary>Paths of the keys whose change takes effect only at the next start, and whose values differ.</summary>
    /// <param name="before">The section that is in effect.</param>
    /// <param name="after">The section that replaces it.</param>
    /// <param name="path">Path of the section.</param>
    public abstract IEnumerable<string> RestartKeys(object before, object after, string path);
}

/// <inheritdoc/>
/// <param name="seed">Creates the value with all defaults.</param>
/// <param name="later">Keys of later versions; the error says so instead of suggesting another key.</param>
/// <param name="keys">The known ones.</param>
internal sealed class ConfigObjectType<T>(Func<T> seed, string[] later, params ConfigKey<T>[] keys) : ConfigObjectType
    where T : notnull
{
    private readonly ConfigKey<T>[] _keys = [.. keys.Select(k => k.WithSeed(seed))];

    public override IReadOnlyList<ConfigKey> Keys => _keys;

    public override IEnumerable<string> RestartKeys(object before, object after, string path)
    {
        foreach (var key in _keys)
        {
            var (old, changed) = (key.ValueOf((T)before), key.ValueOf((T)after));
            if (Equals(old, changed)) continue;
            if (key.NeedsRestart) yield return $"{path}.{key.Name}";
            else if (key.Type is ConfigObjectType section && old is not null && changed is not null)
            {
                foreach (var inner in section.RestartKeys(old, changed, $"{path}.{key.Name}")) yield return inner;
            }
        }
    }

    public override object? Read(ConfigNode node, string path, ConfigReadContext context)
    {
        context.Note(path, node.Origin);
        var result = seed();
        var map = node as ConfigMap ?? (node is ConfigScalar { Value: null } ? new ConfigMap(node.Origin) : null);
        if (map is null)
        {
            context.Error(node, path, null, "Keys are expected here instead of a single value or a list.",
                $"Write one key per line, indented: {string.Join(", ", _keys.Take(6).Select(k => k.Name))}"
                + $"{(_keys.Length > 6 ? ", …" : "")}.");
            return result;
        }
        foreach (var (name, value) in map.Entries)
        {
            var entry = path.Length == 0 ? name : $"{path}.{name}";
            if (Array.Find(_keys, k => k.Name == name || k.Alias == name) is { } key)
            {
                if (key.Name != name && map.Find(key.Name) is not null)
                {
                    context.Error(value, entry, null, $"The key is another name of '{key.Name}', which is set too.",
                        "Keep one of the two.");
                    continue;
                }
                if (key.Type.Read(value, entry, context) is { } read) result = key.Apply(result, read);
                continue;
            }
            if (later.Contains(name, StringComparer.Ordinal))
            {
                context.Error(value, entry, null, "This setting is not available in this version of Fairlead.",
                    "Remove it; it would have no effect.");
                continue;
            }
            // The value is not shown: it may be a secret under a misspelt name.
            var meant = Suggestion.For(name, _keys.Select(k => k.Name));
            if (meant is not null) context.Cover(path.Length == 0 ? meant : $"{path}.{meant}");
            context.Error(value, entry, null, "The key is not known.",
                meant is not null
                    ? $"Did you mean '{meant}'?"
                    : $"Keys known here: {string.Join(", ", _keys.Where(k => k.Name[0] != '$').Select(k => k.Name))}.");
        }
        foreach (var key in _keys)
        {
            if (!key.Required || map.Find(key.Name) is not null) continue;
            context.Error(map, path.Length == 0 ? key.Name : $"{path}.{key.Name}", null, "The key is required.",
                $"Add '{key.Name}': {key.Summary}");
        }
        // Continue with what could be read, so that the checks of the whole configuration find the other errors in the same pass.
        // A configuration with errors is never used.
        return result;
    }
}

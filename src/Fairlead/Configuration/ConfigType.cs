using System.Text.Json.Nodes;

namespace Fairlead.Configuration;

/// <summary>The type of a value: how it is read, and how it is described to editors and people.</summary>
internal abstract class ConfigType
{
    /// <summary>The value, or null when it is wrong; the errors are then in <paramref name="context"/>.</summary>
    public abstract object? Read(ConfigNode node, string path, ConfigReadContext context);

    /// <summary>JSON Schema (2020-12) of it.</summary>
    public abstract JsonObject Schema();

    /// <summary>For the table of keys: "duration", "one of a, b".</summary>
    public abstract string Describe();

    /// <summary>A value as written in a file; null for none.</summary>
    public virtual string? Format(object? value) => null;

    /// <summary>Type of the items of a list or a map; null for everything else.</summary>
    public virtual ConfigType? Item => null;

    /// <summary>Whether its values must not be shown.</summary>
    public virtual bool IsSecret => false;
}

/// <summary>What reading collects besides the values.</summary>
internal sealed class ConfigReadContext(List<ConfigurationError> errors)
{
    private readonly Dictionary<string, ConfigOrigin> _origins = new(StringComparer.Ordinal);
    private readonly HashSet<string> _covered = new(StringComparer.Ordinal);

    public void Note(string path, ConfigOrigin origin) => _origins[path] = origin;

    public void Error(ConfigNode node, string path, string? value, string problem, string remedy) =>
        errors.Add(new(path, value, problem, remedy) { Source = node.Origin.Source, Line = node.Origin.Line });

    /// <summary>Notes that an error that was already reported explains a missing value at <paramref name="path"/>.</summary>
    public void Cover(string path) => _covered.Add(path);

    /// <summary>Whether <paramref name="error"/> only repeats an error that was reported before for the same key.</summary>
    public bool IsKnown(ConfigurationError error) =>
        _covered.Contains(error.Key)
        // A list with a wrong item is not read: apiKeys[0] explains a missing apiKey too.
        || errors.Exists(known => Contains(known.Key, error.Key) || known.Key.StartsWith(error.Key + "[", StringComparison.Ordinal)
            || known.Key.StartsWith(error.Key + "s[", StringComparison.Ordinal));

    private static bool Contains(string outer, string inner) =>
        inner.StartsWith(outer, StringComparison.Ordinal) && (inner.Length == outer.Length || inner[outer.Length] is '.' or '[');

    /// <summary>Adds file and line to an error that a check of the finished configuration found.</summary>
    public ConfigurationError Locate(ConfigurationError error)
    {
        if (error.Source is not null) return error;
        for (var path = error.Key; path.Length > 0; path = path[..Math.Max(0, path.LastIndexOfAny(['.', '[']))])
        {
            if (_origins.TryGetValue(path, out var origin)) return error with { Source = origin.Source, Line = origin.Line };
        }
        return error;
    }
}

/// <summary>One value written as text.</summary>
internal abstract class ConfigScalarType : ConfigType
{
    /// <summary>A valid value, as the end of "Write …".</summary>
    protected abstract string Expected(ConfigReadContext context);

    /// <summary>The value; null with a <paramref name="problem"/> when it is wrong.</summary>
    protected abstract object? Parse(string text, ConfigReadContext context, out string problem);

    public override object? Read(ConfigNode node, string path, ConfigReadContext context)
    {
        context.Note(path, node.Origin);
        if (node is not ConfigScalar scalar)
        {
            context.Error(node, path, null, "A single value is expected here instead of a list or keys.", $"Write {Expected(context)}.");
            return null;
        }
        if (scalar.Unusable) return null;
        if (scalar.Value is null)
        {
            context.Error(node, path, null, "The key has no value.", $"Write {Expected(context)}, or remove the key.");
            return null;
        }
        var value = Parse(scalar.Value, context, out var problem);
        if (value is null)
        {
            context.Error(node, path, IsSecret ? "(hidden)" : scalar.Written ?? Shorten(scalar.Value), problem,
                $"Write {Expected(context)}.");
        }
        return value;
    }

    private static string Shorten(string text) => text.Length <= 80 ? text : text[..77] + "…";
}

/// <summary>A list whose items are all of one type.</summary>
internal abstract class ConfigListType : ConfigType;

/// <inheritdoc/>
internal sealed class ConfigListType<T>(ConfigType item) : ConfigListType
{
    public override ConfigType Item => item;

    public override bool IsSecret => item.IsSecret;

    public override object? Read(ConfigNode node, string path, ConfigReadContext context)
    {
        context.Note(path, node.Origin);
        if (node is not ConfigList list)
        {
            context.Error(node, path, null, "A list is expected here.", "Write [first, second], or one item per line, each after '- '.");
            return null;
        }
        var items = new List<T>(list.Items.Count);
        for (var i = 0; i < list.Items.Count; i++)
        {
            if (item.Read(list.Items[i], $"{path}[{i}]", context) is T value) items.Add(value);
        }
        return items.Count == list.Items.Count ? items : null;
    }

    public override JsonObject Schema() => new() { ["type"] = "array", ["items"] = item.Schema() };

    public override string Describe() => "list of: " + item.Describe();

    public override string? Format(object? value) =>
        value is IReadOnlyList<T> { Count: > 0 } list ? "[" + string.Join(", ", list.Select(i => item.Format(i))) + "]" : "[]";
}

/// <summary>Entries under names that the operator chooses.</summary>
internal abstract class ConfigMapType(string what) : ConfigType
{
    /// <summary>Placeholder of the name in paths: <c>providers.&lt;provider&gt;</c>.</summary>
    public string What { get; } = what;

    /// <summary>The only names that are accepted; empty for any.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];
}

/// <inheritdoc/>
internal sealed class ConfigMapType<T>(ConfigType item, string what, Func<string, T, string?>? errorOf = null) : ConfigMapType(what)
{
    public override ConfigType Item => item;

    public override bool IsSecret => item.IsSecret;

    public override object? Read(ConfigNode node, string path, ConfigReadContext context)
    {
        context.Note(path, node.Origin);
        if (node is ConfigScalar { Value: null }) return new Dictionary<string, T>();
        if (node is not ConfigMap map)
        {
            context.Error(node, path, null, $"Entries by name of {What} are expected here.",
                $"Write '<{What}>:' and its settings below, indented.");
            return null;
        }
        var items = new Dictionary<string, T>(StringComparer.Ordinal);
        foreach (var (name, value) in map.Entries)
        {
            var entry = $"{path}.{name}";
            if (name.Length is 0 or > 128 || name.Any(c => c <= ' ' || c == '\x7f'))
            {
                context.Error(value, entry, null, $"The name of a {What} has 1 to 128 characters and no spaces.", "Choose another name.");
            }
            else if (Names.Count > 0 && !Names.Contains(name))
            {
                context.Error(value, entry, null, $"The {What} is not known.",
                    Suggestion.For(name, Names) is { } meant ? $"Did you mean '{meant}'?" : $"Use one of {string.Join(", ", Names)}.");
            }
            else if (item.Read(value, entry, context) is T read)
            {
                if (errorOf?.Invoke(name, read) is { } error)
                {
                    context.Error(value, entry, null, error, $"Correct the {What}, or leave it out.");
                }
                else items[name] = read;
            }
        }
        return items;
    }

    public override JsonObject Schema() => new()
    {
        ["type"] = new JsonArray("object", "null"),
        ["additionalProperties"] = item.Schema(),
        ["propertyNames"] = Names.Count > 0
            ? new JsonObject { ["enum"] = new JsonArray([.. Names.Select(name => (JsonNode)name)]) }
            : new JsonObject { ["minLength"] = 1, ["maxLength"] = 128 },
    };

    public override string Describe() => $"by name of {What}: " + item.Describe();
}

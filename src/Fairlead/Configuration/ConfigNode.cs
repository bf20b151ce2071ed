namespace Fairlead.Configuration;

/// <summary>Where a value was written.</summary>
internal readonly record struct ConfigOrigin(string? Source, int? Line = null);

/// <summary>A piece of configuration as written, in whatever format.</summary>
internal abstract class ConfigNode(ConfigOrigin origin)
{
    public ConfigOrigin Origin { get; } = origin;
}

/// <summary>Text, number, boolean or nothing; its key decides how it is read.</summary>
internal sealed class ConfigScalar(string? value, ConfigOrigin origin) : ConfigNode(origin)
{
    /// <summary>Null for an empty value (<c>key:</c> with nothing after it).</summary>
    public string? Value { get; } = value;

    /// <summary>
    /// The value as written in the file, where a reference to the environment was replaced: the replacement may be a secret.
    /// </summary>
    public string? Written { get; init; }

    /// <summary>An error was already reported; do not use or check the value again.</summary>
    public bool Unusable { get; init; }
}

internal sealed class ConfigList(IReadOnlyList<ConfigNode> items, ConfigOrigin origin) : ConfigNode(origin)
{
    public IReadOnlyList<ConfigNode> Items { get; } = items;
}

/// <summary>Keys in the order they were written. Names match in any case only where the environment overlays them.</summary>
internal sealed class ConfigMap(ConfigOrigin origin) : ConfigNode(origin)
{
    private readonly List<KeyValuePair<string, ConfigNode>> _entries = [];

    public IReadOnlyList<KeyValuePair<string, ConfigNode>> Entries => _entries;

    public ConfigNode? Find(string name, StringComparison comparison = StringComparison.Ordinal)
    {
        foreach (var (key, node) in _entries)
        {
            if (string.Equals(key, name, comparison)) return node;
        }
        return null;
    }

    /// <summary>Sets or replaces an entry; the name matches in any case.</summary>
    public void Set(string name, ConfigNode node)
    {
        for (var i = 0; i < _entries.Count; i++)
        {
            if (!string.Equals(_entries[i].Key, name, StringComparison.OrdinalIgnoreCase)) continue;
            _entries[i] = new(_entries[i].Key, node);
            return;
        }
        _entries.Add(new(name, node));
    }

    /// <summary>The map at <paramref name="name"/>, created if absent; null if the entry is not a map.</summary>
    public ConfigMap? Section(string name)
    {
        var node = Find(name);
        if (node is ConfigMap map) return map;
        if (node is not (null or ConfigScalar { Value: null })) return null;
        var created = new ConfigMap(node?.Origin ?? default);
        Set(name, created);
        return created;
    }

    public void Remove(string name) => _entries.RemoveAll(entry => entry.Key == name);

    /// <summary>Adds an entry; false if the exact name already exists.</summary>
    public bool TryAdd(string name, ConfigNode node)
    {
        if (Find(name) is not null) return false;
        _entries.Add(new(name, node));
        return true;
    }
}

namespace Fairlead.Configuration;

/// <summary>Where a value was written.</summary>
internal readonly record struct ConfigOrigin(string? Source, int? Line = null);

/// <summary>A piece of configuration as written, whatever the format it came in.</summary>
internal abstract class ConfigNode(ConfigOrigin origin)
{
    public ConfigOrigin Origin { get; } = origin;
}

/// <summary>Text, number, switch or nothing; its key decides how it is read.</summary>
internal sealed class ConfigScalar(string? value, ConfigOrigin origin) : ConfigNode(origin)
{
    /// <summary>Null for an empty value (<c>key:</c> with nothing after it).</summary>
    public string? Value { get; } = value;

    /// <summary>
    /// The value as it stands in the file where a reference to the environment was replaced: the replacement may be a secret.
    /// </summary>
    public string? Written { get; init; }

    /// <summary>An error was reported already; the value must not be used or judged again.</summary>
    public bool Unusable { get; init; }
}

internal sealed class ConfigList(IReadOnlyList<ConfigNode> items, ConfigOrigin origin) : ConfigNode(origin)
{
    public IReadOnlyList<ConfigNode> Items { get; } = items;
}

/// <summary>Keys in the order they were written. Names are found whatever their case only where the environment overlays them.</summary>
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

    /// <summary>Sets or replaces an entry, matching the name in any case.</summary>
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

    /// <summary>The map at <paramref name="name"/>, created when there is nothing; null when something else is there.</summary>
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

    /// <summary>Adds an entry; false when the exact name is there already.</summary>
    public bool TryAdd(string name, ConfigNode node)
    {
        if (Find(name) is not null) return false;
        _entries.Add(new(name, node));
        return true;
    }
}

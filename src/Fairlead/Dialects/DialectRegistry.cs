using System.Collections.Frozen;

namespace Fairlead.Dialects;

/// <summary>All dialects, by name and by address. Immutable.</summary>
internal sealed class DialectRegistry
{
    private readonly FrozenDictionary<string, Dialect> _byName;
    private readonly FrozenDictionary<string, Dialect> _byPath;

    /// <exception cref="ArgumentException">Two dialects have the same name or address.</exception>
    public DialectRegistry(IEnumerable<Dialect> dialects)
    {
        All = [.. dialects];
        _byName = All.ToDictionary(dialect => dialect.Name, StringComparer.Ordinal).ToFrozenDictionary(StringComparer.Ordinal);
        _byPath = All.ToDictionary(dialect => dialect.Path, StringComparer.Ordinal).ToFrozenDictionary(StringComparer.Ordinal);
    }

    public IReadOnlyList<Dialect> All { get; }

    /// <summary>The dialect with this name; null for one that this version does not have. Stored generations name theirs.</summary>
    public Dialect? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The dialect that is served at this address.</summary>
    /// <exception cref="KeyNotFoundException">No dialect is served there.</exception>
    public Dialect At(string path) => _byPath[path];
}

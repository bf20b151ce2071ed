using System.Collections.Concurrent;

namespace Fairlead.Dialects;

/// <summary>The dialects that are mapped, by name, for requests that are read again later. Thread-safe.</summary>
internal sealed class DialectRegistry
{
    private readonly ConcurrentDictionary<string, Dialect> _dialects = new(StringComparer.Ordinal);

    public void Add(Dialect dialect) => _dialects[dialect.Name] = dialect;

    public Dialect? Find(string name) => _dialects.GetValueOrDefault(name);
}

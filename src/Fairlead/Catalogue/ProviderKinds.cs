using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>Finds the factory of a provider's kind. Immutable.</summary>
internal sealed class ProviderKinds
{
    private readonly Dictionary<string, IProviderFactory> _byKind = new(StringComparer.Ordinal);

    /// <param name="factories">As registered; the first that knows a kind makes it.</param>
    public ProviderKinds(IEnumerable<IProviderFactory> factories)
    {
        foreach (var factory in factories)
        {
            foreach (var kind in factory.Kinds) _byKind.TryAdd(kind, factory);
        }
    }

    public IEnumerable<string> Names => _byKind.Keys.Order(StringComparer.Ordinal);

    public IProviderFactory? Find(string kind) => _byKind.GetValueOrDefault(kind);
}

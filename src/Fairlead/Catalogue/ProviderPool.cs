using System.Diagnostics.CodeAnalysis;
using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>
/// The running providers by name, each with its configuration. Immutable. A provider whose configuration did not change survives a reload,
/// with its connections. A removed provider is disposed after the last call that uses it.
/// </summary>
internal sealed class ProviderPool
{
    public static readonly ProviderPool Empty = new([]);

    private readonly Dictionary<string, (ProviderConfig Config, Provider Provider)> _providers;

    private ProviderPool(Dictionary<string, (ProviderConfig, Provider)> providers) => _providers = providers;

    public IEnumerable<Provider> All => _providers.Values.Select(p => p.Provider);

    public bool TryGet(string name, [MaybeNullWhen(false)] out Provider provider)
    {
        var found = _providers.TryGetValue(name, out var entry);
        provider = entry.Provider;
        return found;
    }

    /// <summary>The pool for a new configuration.</summary>
    /// <param name="configs">Configurations by name of provider.</param>
    /// <param name="create">Creates a provider whose configuration is new.</param>
    public ProviderPool Renew(IReadOnlyDictionary<string, ProviderConfig> configs, Func<string, ProviderConfig, Provider> create)
    {
        var next = new Dictionary<string, (ProviderConfig, Provider)>(configs.Count, StringComparer.Ordinal);
        foreach (var (name, config) in configs)
        {
            var provider = _providers.TryGetValue(name, out var old) && Same(old.Config, config)
                ? old.Provider
                : create(name, config);
            next.Add(name, (config, provider));
        }
        return new ProviderPool(next);
    }

    /// <summary>Equality by content: records compare their lists by reference, which a reload always changes.</summary>
    internal static bool Same(ProviderConfig left, ProviderConfig right) =>
        ReferenceEquals(left, right)
        || (left with { ApiKeys = [], Headers = NoHeaders, OfferedModels = [] } == right with { ApiKeys = [], Headers = NoHeaders, OfferedModels = [] }
            && left.ApiKeys.SequenceEqual(right.ApiKeys)
            && left.Headers.Count == right.Headers.Count
            && left.Headers.All(h => right.Headers.TryGetValue(h.Key, out var value) && value == h.Value));

    private static readonly IReadOnlyDictionary<string, string> NoHeaders = new Dictionary<string, string>();
}

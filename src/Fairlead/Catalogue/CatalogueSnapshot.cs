using System.Collections.Frozen;
using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>All available models at one moment. Immutable.</summary>
internal sealed class CatalogueSnapshot : ICatalogueSnapshot
{
    private static long _versions;

    private readonly FrozenDictionary<string, CatalogueModel> _byName;

    /// <param name="models">Ids are unique.</param>
    /// <param name="providers">Every running provider, whether a model uses it or not.</param>
    public CatalogueSnapshot(IEnumerable<CatalogueModel> models, ProviderPool providers)
    {
        var version = Interlocked.Increment(ref _versions);
        var ordered = models.OrderBy(m => m.Id, StringComparer.Ordinal).Select(model => model with { Version = version }).ToArray();
        Models = ordered;
        Providers = providers;
        var names = new Dictionary<string, CatalogueModel>(ordered.Length * 2, StringComparer.Ordinal);
        // Names have precedence over aliases, so that an alias never hides a listed model.
        foreach (var model in ordered) names.Add(model.Id, model);
        foreach (var model in ordered)
        {
            foreach (var alias in model.Aliases) names.TryAdd(alias, model);
        }
        _byName = names.ToFrozenDictionary(StringComparer.Ordinal);
    }

    public IReadOnlyList<CatalogueModel> Models { get; }

    public ProviderPool Providers { get; }

    public CatalogueModel? Find(string name) => _byName.GetValueOrDefault(name);
}

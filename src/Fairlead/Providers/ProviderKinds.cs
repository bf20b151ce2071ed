namespace Fairlead.Providers;

/// <summary>All registered kinds of providers. Immutable; thread-safe.</summary>
internal sealed class ProviderKinds
{
    private readonly Dictionary<string, ProviderKind> _byName = new(StringComparer.Ordinal);

    /// <summary>The kinds that ship with Fairlead.</summary>
    public static readonly ProviderKinds BuiltIn = new(BuiltInProviderKinds.All);

    /// <param name="kinds">In the order of the schema and the documentation. The first kind of a name counts.</param>
    public ProviderKinds(IEnumerable<ProviderKind> kinds)
    {
        var all = new List<ProviderKind>();
        foreach (var kind in kinds)
        {
            if (_byName.TryAdd(kind.Name, kind)) all.Add(kind);
        }
        All = all;
    }

    public IReadOnlyList<ProviderKind> All { get; }

    public ProviderKind? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The vendor of a host; null when no kind knows it.</summary>
    public ProviderVendor? VendorAt(string host) => All.SelectMany(kind => kind.Vendors).FirstOrDefault(vendor => vendor.Owns(host));

    /// <summary>The vendor that a provider's name means; null when it means none.</summary>
    public ProviderVendor? VendorNamed(string provider) =>
        All.SelectMany(kind => kind.Vendors)
            .FirstOrDefault(vendor => vendor.ProviderNames.Contains(provider, StringComparer.OrdinalIgnoreCase));

    /// <summary>Owner of the built-in models that a provider offers without being listed; null when it offers none.</summary>
    public string? ModelOwnerOf(string provider, ProviderConfig config) => Find(config.Kind)?.ModelOwnerOf(provider, config, this);

    /// <summary>Whether only providers of one kind have the models of this owner.</summary>
    public bool IsExclusiveOwner(string owner) => All.Any(kind => kind.HasOnlyItsOwnModels && kind.ModelOwner == owner);

    /// <summary>Name of the API of a kind; the kind's own name when it is unknown.</summary>
    public string? InterfaceOf(string? kind) => kind is null ? null : Find(kind)?.Interface ?? kind;
}

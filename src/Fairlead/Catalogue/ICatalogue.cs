namespace Fairlead.Catalogue;

/// <summary>All available models at one moment. Immutable.</summary>
internal interface ICatalogueSnapshot
{
    /// <summary>All models in order of their names.</summary>
    IReadOnlyList<CatalogueModel> Models { get; }

    /// <summary>The model of this name or alias, or null.</summary>
    CatalogueModel? Find(string name);
}

/// <summary>The current snapshot, which a reload replaces as a whole. Thread-safe; readers take no lock.</summary>
internal interface ICatalogue
{
    ICatalogueSnapshot Current { get; }
}

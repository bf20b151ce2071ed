namespace Fairlead.Catalogue;

/// <summary>Everything that is on offer at one moment. Immutable.</summary>
internal interface ICatalogueSnapshot
{
    /// <summary>All models in order of their names.</summary>
    IReadOnlyList<CatalogueModel> Models { get; }

    /// <summary>The model of this name or alias, or null.</summary>
    CatalogueModel? Find(string name);
}

/// <summary>The present snapshot; swapped whole by a reload. Thread-safe, no locks for readers.</summary>
internal interface ICatalogue
{
    ICatalogueSnapshot Current { get; }
}

namespace Fairlead.Catalogue;

/// <summary>No catalogue can be made of a configuration; the message lists every fault, one a line.</summary>
internal sealed class CatalogueException(IReadOnlyList<CatalogueFault> faults)
    : Exception("The configuration has faults:" + string.Concat(faults.Select(f => $"\n  {f}")))
{
    public IReadOnlyList<CatalogueFault> Faults { get; } = faults;
}

namespace Fairlead.Catalogue;

/// <summary>No catalogue can be built from a configuration; the message lists every error, one per line.</summary>
internal sealed class CatalogueException(IReadOnlyList<CatalogueError> errors)
    : Exception("The configuration has errors:" + string.Concat(errors.Select(f => $"\n  {f}")))
{
    public IReadOnlyList<CatalogueError> Errors { get; } = errors;
}

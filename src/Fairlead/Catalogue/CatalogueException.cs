namespace Fairlead.Catalogue;

/// <summary>No catalogue can be made of a configuration; the message lists every error, one a line.</summary>
internal sealed class CatalogueException(IReadOnlyList<CatalogueError> errors)
    : Exception("The configuration has errors:" + string.Concat(errors.Select(f => $"\n  {f}")))
{
    public IReadOnlyList<CatalogueError> Errors { get; } = errors;
}

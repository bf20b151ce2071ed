namespace Fairlead.Catalogue;

/// <summary>Something in the configuration that no running catalogue can be made of.</summary>
/// <param name="Key">Where it stands, as written in the file without the leading <c>fairlead:</c>, such as <c>models.fast.deployments[0].provider</c>.</param>
/// <param name="Value">What stands there; null when something is missing. Never a secret.</param>
/// <param name="Remedy">What is wrong and how to fix it.</param>
internal sealed record CatalogueError(string Key, string? Value, string Remedy)
{
    public override string ToString() => Value is null ? $"{Key}: {Remedy}" : $"{Key} = '{Value}': {Remedy}";
}

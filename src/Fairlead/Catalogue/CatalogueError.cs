namespace Fairlead.Catalogue;

/// <summary>An error of the configuration that prevents building a catalogue.</summary>
/// <param name="Key">Its path, as written in the file without the leading <c>fairlead:</c>, such as
/// <c>models.fast.deployments[0].provider</c>.</param>
/// <param name="Value">The value; null when something is missing. Never a secret.</param>
/// <param name="Remedy">What is wrong and how to fix it.</param>
internal sealed record CatalogueError(string Key, string? Value, string Remedy)
{
    public override string ToString() => Value is null ? $"{Key}: {Remedy}" : $"{Key} = '{Value}': {Remedy}";
}

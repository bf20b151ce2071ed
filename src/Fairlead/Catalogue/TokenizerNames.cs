namespace Fairlead.Catalogue;

/// <summary>The names of vocabularies in the catalogue and the configuration.</summary>
internal static class TokenizerNames
{
    /// <summary>The exact counter of a name, or <see cref="TokenizerFamily.Estimated"/>.</summary>
    public static TokenizerFamily FamilyOf(string name) => name switch
    {
        "o200k" or "o200k_base" => TokenizerFamily.O200k,
        "cl100k" or "cl100k_base" => TokenizerFamily.Cl100k,
        _ => TokenizerFamily.Estimated,
    };
}

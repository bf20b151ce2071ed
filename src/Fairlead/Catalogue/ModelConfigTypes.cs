using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>Value types that the tables of models share.</summary>
internal static class ModelConfigTypes
{
    public static readonly ConfigType Tokens = new ConfigInteger(1, 1_000_000_000);

    /// <summary>US dollars per million tokens.</summary>
    public static readonly ConfigType Price = new ConfigNumber(0, 1_000_000);
}

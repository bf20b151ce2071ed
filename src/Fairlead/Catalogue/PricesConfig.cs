using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>US dollars per million tokens.</summary>
public sealed record PricesConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<PricesConfig> Keys = new(() => new PricesConfig(), [],
        new("input", ModelConfigTypes.Price, p => p.Input, (p, v) => p with { Input = (decimal)v },
            "USD per million input tokens.") { Required = true },
        new("cachedInput", ModelConfigTypes.Price, p => p.CachedInput, (p, v) => p with { CachedInput = (decimal)v },
            "USD per million input tokens read from the provider's cache; the input price when left out."),
        new("cacheWrite", ModelConfigTypes.Price, p => p.CacheWrite, (p, v) => p with { CacheWrite = (decimal)v },
            "USD per million input tokens written to the provider's cache; the input price when left out."),
        new("longCacheWrite", ModelConfigTypes.Price, p => p.LongCacheWrite, (p, v) => p with { LongCacheWrite = (decimal)v },
            "USD per million input tokens written to the provider's cache for an hour; 1.6 times `cacheWrite` when left out."),
        new("audioInput", ModelConfigTypes.Price, p => p.AudioInput, (p, v) => p with { AudioInput = (decimal)v },
            "USD per million input tokens of audio; the input price when left out."),
        new("output", ModelConfigTypes.Price, p => p.Output, (p, v) => p with { Output = (decimal)v },
            "USD per million output tokens.") { Required = true },
        new("audioOutput", ModelConfigTypes.Price, p => p.AudioOutput, (p, v) => p with { AudioOutput = (decimal)v },
            "USD per million output tokens of audio; the output price when left out."),
        new("tiers", new ConfigListType<PriceTierConfig>(PriceTierConfig.Keys), p => p.Tiers,
            (p, v) => p with { Tiers = (IReadOnlyList<PriceTierConfig>)v },
            "Higher prices for large inputs."));

    public decimal Input { get; init; }

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    /// <summary>Cache writes with a lifetime of an hour; 1.6 times <see cref="CacheWrite"/> when null.</summary>
    public decimal? LongCacheWrite { get; init; }

    public decimal? AudioInput { get; init; }

    public decimal Output { get; init; }

    public decimal? AudioOutput { get; init; }

    public IReadOnlyList<PriceTierConfig> Tiers { get; init; } = [];
}

using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>US dollars per million tokens, always or from a moment on.</summary>
public sealed record PricesConfig
{
    private static readonly ConfigType Factor = new ConfigNumber(0, 1000);

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<PricesConfig> Keys = new(() => new PricesConfig(), [],
        new("from", new ConfigDate(), p => p.From, (p, v) => p with { From = (DateTimeOffset)v },
            "A date (midnight UTC) or a time with its offset. The prices apply to calls that are accepted from then on; those of the first "
            + "entry also to all earlier calls."),
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
            "Higher prices for large inputs."),
        new("serviceTiers", new ConfigMapType<decimal>(Factor, "tier"), p => p.ServiceTiers,
            (p, v) => p with { ServiceTiers = (IReadOnlyDictionary<string, decimal>)v },
            "Factors of the whole cost by the service tier that the provider reports, such as `{ flex: 0.5, priority: 2 }`; 1 for all others."),
        new("batchFactor", Factor, p => p.BatchFactor, (p, v) => p with { BatchFactor = (decimal)v },
            "Factor of the whole cost if the provider reports that it ran the call as a batch (the tier `batch`)."));

    /// <summary>The start of these prices; null for always, or for the first entry.</summary>
    public DateTimeOffset? From { get; init; }

    public decimal Input { get; init; }

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    /// <summary>Cache writes with a lifetime of an hour; 1.6 times <see cref="CacheWrite"/> when null.</summary>
    public decimal? LongCacheWrite { get; init; }

    public decimal? AudioInput { get; init; }

    public decimal Output { get; init; }

    public decimal? AudioOutput { get; init; }

    public IReadOnlyList<PriceTierConfig> Tiers { get; init; } = [];

    /// <summary>Factors of the whole cost by the service tier that the provider reports; 1 for a tier that is not listed.</summary>
    public IReadOnlyDictionary<string, decimal> ServiceTiers { get; init; } = new Dictionary<string, decimal>();

    /// <summary>Factor of the whole cost if the provider reports the service tier <c>batch</c>.</summary>
    public decimal? BatchFactor { get; init; }
}

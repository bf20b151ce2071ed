using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>Prices of a whole request whose input is larger than a number of tokens, in US dollars per million tokens.</summary>
public sealed record PriceTierConfig(int AboveInputTokens, decimal Input, decimal? CachedInput, decimal Output)
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<PriceTierConfig> Keys = new(() => new PriceTierConfig(0, 0, null, 0), [],
        new("aboveInputTokens", ModelConfigTypes.Tokens, t => t.AboveInputTokens, (t, v) => t with { AboveInputTokens = (int)(long)v },
            "Size of input from which these prices apply to the whole request.") { Required = true },
        new("input", ModelConfigTypes.Price, t => t.Input, (t, v) => t with { Input = (decimal)v },
            "USD per million input tokens.") { Required = true },
        new("cachedInput", ModelConfigTypes.Price, t => t.CachedInput, (t, v) => t with { CachedInput = (decimal)v },
            "USD per million input tokens read from the provider's cache."),
        new("cacheWrite", ModelConfigTypes.Price, t => t.CacheWrite, (t, v) => t with { CacheWrite = (decimal)v },
            "USD per million input tokens written to the provider's cache; when left out, the model's price raised in proportion to "
            + "`input`."),
        new("longCacheWrite", ModelConfigTypes.Price, t => t.LongCacheWrite, (t, v) => t with { LongCacheWrite = (decimal)v },
            "USD per million input tokens written to the provider's cache for an hour; when left out, the model's price raised as "
            + "`cacheWrite` is."),
        new("audioInput", ModelConfigTypes.Price, t => t.AudioInput, (t, v) => t with { AudioInput = (decimal)v },
            "USD per million input tokens of audio; when left out, the model's price raised in proportion to `input`."),
        new("audioOutput", ModelConfigTypes.Price, t => t.AudioOutput, (t, v) => t with { AudioOutput = (decimal)v },
            "USD per million output tokens of audio; when left out, the model's price raised in proportion to `output`."),
        new("output", ModelConfigTypes.Price, t => t.Output, (t, v) => t with { Output = (decimal)v },
            "USD per million output tokens.") { Required = true });

    public decimal? CacheWrite { get; init; }

    public decimal? LongCacheWrite { get; init; }

    public decimal? AudioInput { get; init; }

    public decimal? AudioOutput { get; init; }
}

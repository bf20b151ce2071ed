using Fairlead.Conversation;

namespace Fairlead.Catalogue;

/// <summary>US dollars per million tokens. A price that is null is that of the kind of tokens that includes it.</summary>
internal sealed record ModelPrices(decimal Input, decimal Output)
{
    /// <summary>
    /// Anthropic's price of a one-hour cache write relative to a five-minute one: 2 times the input price against 1.25 times.
    /// </summary>
    public const decimal LongWriteFactor = 1.6m;

    public static readonly ModelPrices Free = new(0, 0);

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    /// <summary>
    /// Cache writes with a lifetime of an hour (Anthropic); null is charged at <see cref="LongWriteFactor"/> times the price of other cache
    /// writes.
    /// </summary>
    public decimal? LongCacheWrite { get; init; }

    /// <summary>Audio input; null is charged at the input rate.</summary>
    public decimal? AudioInput { get; init; }

    /// <summary>Audio output; null is charged at the output rate.</summary>
    public decimal? AudioOutput { get; init; }

    /// <summary>Price steps by size of the input, ascending; a step applies to the whole request.</summary>
    public IReadOnlyList<PriceTier> Tiers { get; init; } = [];

    /// <summary>Factors of the whole cost by the service tier of the provider.</summary>
    public ServiceTierFactors ServiceTiers { get; init; } = ServiceTierFactors.None;

    /// <summary>The day of the prices, or null.</summary>
    public DateOnly? AsOf { get; init; }

    /// <summary>The cost of <paramref name="usage"/> in the plain service tier. Exact; the basis is that of the usage.</summary>
    public Cost CostOf(in Usage usage)
    {
        var (input, output, cached, write, longWrite, audio, audioOut) = (Input, Output, CachedInput, CacheWrite, LongCacheWrite,
            AudioInput, AudioOutput);
        // An enumerator of an interface is allocated.
        for (var i = 0; i < Tiers.Count; i++)
        {
            var tier = Tiers[i];
            if (usage.InputTokens <= tier.AboveInputTokens) break;
            (input, output) = (tier.Input, tier.Output);
            cached = tier.CachedInput ?? (cached is null ? null : tier.Input);
            // Most vendors publish one price of cache writes and of audio. Without its own price, a step raises it in proportion to the
            // price beside it.
            write = tier.CacheWrite ?? Raised(CacheWrite, tier.Input, Input);
            longWrite = tier.LongCacheWrite
                ?? (tier.CacheWrite is { } own ? Raised(LongCacheWrite, own, CacheWrite ?? 0, otherwise: null)
                : Raised(LongCacheWrite, tier.Input, Input));
            audio = tier.AudioInput ?? Raised(AudioInput, tier.Input, Input);
            audioOut = tier.AudioOutput ?? Raised(AudioOutput, tier.Output, Output);
        }
        var shortWrite = write ?? input;
        var plain = usage.InputTokens - usage.CachedInputTokens - usage.CacheWriteTokens - usage.AudioInputTokens;
        var shortWrites = usage.CacheWriteTokens - usage.LongCacheWriteTokens;
        var usd = ((plain * input)
            + (usage.AudioInputTokens * (audio ?? input))
            + (usage.CachedInputTokens * (cached ?? input))
            + (shortWrites * shortWrite)
            + (usage.LongCacheWriteTokens * (longWrite ?? LongWriteFactor * shortWrite))
            + ((usage.OutputTokens - usage.AudioOutputTokens) * output)
            + (usage.AudioOutputTokens * (audioOut ?? output))) / 1_000_000m;
        return new Cost(usd, usage.Basis);
    }

    private static decimal? Raised(decimal? price, decimal to, decimal from) => Raised(price, to, from, price);

    private static decimal? Raised(decimal? price, decimal to, decimal from, decimal? otherwise) => price is { } known && from > 0
        ? known * to / from : otherwise;
}

/// <summary>Prices from a size of input on.</summary>
internal sealed record PriceTier(int AboveInputTokens, decimal Input, decimal Output)
{
    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    public decimal? LongCacheWrite { get; init; }

    public decimal? AudioInput { get; init; }

    public decimal? AudioOutput { get; init; }
}

using Fairlead.Conversation;

namespace Fairlead.Catalogue;

/// <summary>US dollars per million tokens. What is null is charged at the rate of the kind of tokens that it is a part of.</summary>
internal sealed record ModelPrices(decimal Input, decimal Output)
{
    /// <summary>What Anthropic charges for a cache write of an hour, by one of five minutes: twice the input price to one and a quarter of it.</summary>
    public const decimal LongWriteFactor = 1.6m;

    public static readonly ModelPrices Free = new(0, 0);

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    /// <summary>Cache writes that live an hour (Anthropic); null is charged at <see cref="LongWriteFactor"/> times the price of other cache writes.</summary>
    public decimal? LongCacheWrite { get; init; }

    /// <summary>Sound; null is charged at the input rate.</summary>
    public decimal? AudioInput { get; init; }

    /// <summary>Audio that the model made; null is charged at the output rate.</summary>
    public decimal? AudioOutput { get; init; }

    /// <summary>Steps by size of the input, ascending; a step charges the whole request.</summary>
    public IReadOnlyList<PriceTier> Tiers { get; init; } = [];

    /// <summary>The day the prices were taken, or null.</summary>
    public DateOnly? AsOf { get; init; }

    /// <summary>What <paramref name="usage"/> costs. Exact; the basis is the usage's own.</summary>
    public Cost CostOf(in Usage usage)
    {
        var (input, output, cached, write, longWrite, audio, audioOut) = (Input, Output, CachedInput, CacheWrite, LongCacheWrite, AudioInput, AudioOutput);
        foreach (var tier in Tiers)
        {
            if (usage.InputTokens <= tier.AboveInputTokens) break;
            (input, output) = (tier.Input, tier.Output);
            cached = tier.CachedInput ?? (cached is null ? null : tier.Input);
            // Vendors mostly publish one price of cache writes and of audio: without its own price, a step raises it as it raises the price beside it.
            write = tier.CacheWrite ?? Raised(CacheWrite, tier.Input, Input);
            longWrite = tier.LongCacheWrite ?? (tier.CacheWrite is { } own ? Raised(LongCacheWrite, own, CacheWrite ?? 0, otherwise: null) : Raised(LongCacheWrite, tier.Input, Input));
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

    private static decimal? Raised(decimal? price, decimal to, decimal from, decimal? otherwise) => price is { } known && from > 0 ? known * to / from : otherwise;
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

using Fairlead.Ledger;

namespace Fairlead.Catalogue;

/// <summary>US dollars per million tokens. Null cache prices are charged at the input rate.</summary>
public sealed record ModelPrices(decimal Input, decimal Output)
{
    public static readonly ModelPrices Free = new(0, 0);

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    /// <summary>Cache writes that live an hour (Anthropic).</summary>
    public decimal? LongCacheWrite { get; init; }

    /// <summary>Sound; null is charged at the input rate.</summary>
    public decimal? AudioInput { get; init; }

    /// <summary>Steps by size of the input, ascending; a step charges the whole request.</summary>
    public IReadOnlyList<PriceTier> Tiers { get; init; } = [];

    /// <summary>The day the prices were taken, or null.</summary>
    public DateOnly? AsOf { get; init; }

    /// <summary>What <paramref name="usage"/> costs. Exact; the basis is the usage's own.</summary>
    public Cost CostOf(in Usage usage)
    {
        var (input, output, cached, write, longWrite, audio) = (Input, Output, CachedInput, CacheWrite, LongCacheWrite, AudioInput);
        foreach (var tier in Tiers)
        {
            if (usage.InputTokens <= tier.AboveInputTokens) break;
            (input, output) = (tier.Input, tier.Output);
            cached = tier.CachedInput ?? (cached is null ? null : tier.Input);
            // Makers publish one price of writing and of sound; in a dearer step it rises as the input price does.
            if (CacheWrite is { } w && Input > 0) write = w * tier.Input / Input;
            if (LongCacheWrite is { } l && Input > 0) longWrite = l * tier.Input / Input;
            if (AudioInput is { } a && Input > 0) audio = a * tier.Input / Input;
        }
        var plain = usage.InputTokens - usage.CachedInputTokens - usage.CacheWriteTokens - usage.AudioInputTokens;
        var shortWrites = usage.CacheWriteTokens - usage.LongCacheWriteTokens;
        var usd = ((plain * input)
            + (usage.AudioInputTokens * (audio ?? input))
            + (usage.CachedInputTokens * (cached ?? input))
            + (shortWrites * (write ?? input))
            + (usage.LongCacheWriteTokens * (longWrite ?? write ?? input))
            + (usage.OutputTokens * output)) / 1_000_000m;
        return new Cost(usd, usage.Basis);
    }
}

/// <summary>Prices from a size of input on.</summary>
public sealed record PriceTier(int AboveInputTokens, decimal Input, decimal Output)
{
    public decimal? CachedInput { get; init; }
}

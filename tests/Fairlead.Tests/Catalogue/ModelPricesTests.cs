using Fairlead.Catalogue;
using Fairlead.Conversation;

namespace Fairlead.Tests.Catalogue;

/// <summary>What usage costs, by hand and in decimals.</summary>
public sealed class ModelPricesTests
{
    private static readonly ModelPrices Tiered = new(0.10m, 0.50m)
    {
        CachedInput = 0.01m,
        CacheWrite = 0.125m,
        LongCacheWrite = 0.20m,
        AudioInput = 0.30m,
        Tiers = [new PriceTier(100_000, 0.50m, 2.50m) { CachedInput = 0.05m }, new PriceTier(500_000, 1.00m, 5.00m)],
    };

    [Theory]
    // The plain rates: 80 of 100 at 0.10, 20 cached at 0.01, 7 out at 0.50.
    [InlineData(100, 20, 0, 0, 0, 7, "0.0000117")]
    // Written for five minutes and for an hour: 50 at 0.125, 10 at 0.20, 40 plain.
    [InlineData(100, 0, 60, 10, 0, 0, "0.00001225")]
    // Sound: 30 at 0.30, 70 plain.
    [InlineData(100, 0, 0, 0, 30, 0, "0.000016")]
    // The bound itself is still below the step.
    [InlineData(100_000, 0, 0, 0, 0, 1, "0.0100005")]
    // One more, and all of it is charged by the step.
    [InlineData(100_001, 1, 0, 0, 0, 1, "0.05000255")]
    // Writing and sound rise as the input does, from their own price: five times it in the first step, ten times in the second.
    [InlineData(200_000, 0, 200_000, 0, 0, 0, "0.125")]
    [InlineData(600_000, 0, 600_000, 0, 0, 0, "0.75")]
    [InlineData(600_000, 0, 600_000, 600_000, 0, 0, "1.2")]
    [InlineData(600_000, 0, 0, 0, 600_000, 0, "1.8")]
    // A step without a cached price charges cached input as input.
    [InlineData(600_000, 600_000, 0, 0, 0, 0, "0.6")]
    public void CostOf_EveryRate_IsExact(long input, long cached, long written, long longWritten, long audio, long output, string usd)
    {
        var usage = new Usage(input, output) { CachedInputTokens = cached, CacheWriteTokens = written, LongCacheWriteTokens = longWritten, AudioInputTokens = audio };
        Assert.Equal(decimal.Parse(usd, System.Globalization.CultureInfo.InvariantCulture), Tiered.CostOf(usage).Usd);
    }

    [Fact]
    public void CostOf_MissingRates_FallBackToInputAndOutputPrices()
    {
        // 95 at 2, and 5 that are written for an hour at 1.6 times that.
        var usage = new Usage(100, 10) { CachedInputTokens = 10, CacheWriteTokens = 20, LongCacheWriteTokens = 5, AudioInputTokens = 30, AudioOutputTokens = 6 };
        Assert.Equal(0.000286m, new ModelPrices(2m, 8m).CostOf(usage).Usd);
    }

    [Theory]
    // As Anthropic charges: twice the input price for an hour, one and a quarter of it for five minutes.
    [InlineData("3", "3.75", null, "6")]
    [InlineData("3", "3.75", "5", "5")]
    [InlineData("3", null, null, "4.8")]
    [InlineData("3", "0", null, "0")]
    public void CostOf_LongCacheWrite_DefaultsToScaledCacheWritePrice(string input, string? write, string? longWrite, string perMillion)
    {
        var prices = new ModelPrices(Money(input)!.Value, 15m) { CacheWrite = Money(write), LongCacheWrite = Money(longWrite) };
        Assert.Equal(Money(perMillion), prices.CostOf(new Usage(1_000_000, 0) { CacheWriteTokens = 1_000_000, LongCacheWriteTokens = 1_000_000 }).Usd);
    }

    [Fact]
    public void CostOf_AudioOutput_UsesAudioPrice()
    {
        var usage = new Usage(0, 100) { AudioOutputTokens = 80 };
        Assert.Equal(((20 * 10m) + (80 * 64m)) / 1_000_000, new ModelPrices(2.5m, 10m) { AudioOutput = 64m }.CostOf(usage).Usd);
        Assert.Equal(100 * 10m / 1_000_000, new ModelPrices(2.5m, 10m).CostOf(usage).Usd);
    }

    [Fact]
    public void CostOf_TierPrices_OverrideScaledPrices()
    {
        var prices = new ModelPrices(1m, 4m)
        {
            CacheWrite = 1.25m,
            LongCacheWrite = 2m,
            AudioInput = 3m,
            AudioOutput = 12m,
            Tiers =
            [
                new PriceTier(10, 2m, 6m),
                new PriceTier(20, 2m, 6m) { CacheWrite = 5m },
                new PriceTier(30, 2m, 6m) { CacheWrite = 5m, LongCacheWrite = 7m, AudioInput = 9m, AudioOutput = 13m },
            ],
        };
        // Raised as the input is, by two; the audio made as the output is, by one and a half.
        Assert.Equal((2.5m, 4m, 6m, 18m), Rates(11));
        // The price for one hour keeps its distance from the price for five minutes.
        Assert.Equal((5m, 8m, 6m, 18m), Rates(21));
        Assert.Equal((5m, 7m, 9m, 13m), Rates(31));

        (decimal Write, decimal LongWrite, decimal AudioIn, decimal AudioOut) Rates(long input)
        {
            var plain = new Usage(input, 1);
            decimal Per(Usage usage, long tokens) => prices.CostOf(usage).Usd * 1_000_000 / tokens;
            return (Per(new Usage(input, 0) { CacheWriteTokens = input }, input), Per(new Usage(input, 0) { CacheWriteTokens = input, LongCacheWriteTokens = input }, input),
                Per(new Usage(input, 0) { AudioInputTokens = input }, input), (prices.CostOf(plain with { AudioOutputTokens = 1 }).Usd - prices.CostOf(new Usage(input, 0)).Usd) * 1_000_000);
        }
    }

    private static decimal? Money(string? text) => text is null ? null : decimal.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
}

using Fairlead.Catalogue;
using Fairlead.Ledger;

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
    public void CostOf_RatesLeftOut_AreTheInputs()
    {
        var usage = new Usage(100, 0) { CachedInputTokens = 10, CacheWriteTokens = 20, LongCacheWriteTokens = 5, AudioInputTokens = 30 };
        Assert.Equal(0.0002m, new ModelPrices(2m, 8m).CostOf(usage).Usd);
    }
}

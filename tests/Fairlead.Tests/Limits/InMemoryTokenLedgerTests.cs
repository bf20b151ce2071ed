using CsCheck;
using Fairlead.Conversation;
using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

public sealed class InMemoryTokenLedgerTests
{
    [Fact]
    public void Settle_Twice_CountsOnce()
    {
        var reservation = new TokenReservation("org_a", "proj_a", "key_a", 10, 20, 0.5m);
        Assert.True(reservation.TrySettle());
        Assert.False(reservation.TrySettle());
    }

    [Fact]
    public void Cost_AnyUsage_IsExactAndNeverNegative() =>
        Gen.Select(Gen.Int[0, 2_000_000], Gen.Int[0, 100_000], Gen.Double[0, 1], Gen.Double[0, 1]).Sample((input, output, cachedShare, writeShare) =>
        {
            var cached = (long)(input * cachedShare);
            var written = (long)((input - cached) * writeShare);
            var usage = new Usage(input, output) { CachedInputTokens = cached, CacheWriteTokens = written };
            var prices = new Fairlead.Catalogue.ModelPrices(2m, 10m)
            {
                CachedInput = 0.2m,
                CacheWrite = 2.5m,
                Tiers = [new Fairlead.Catalogue.PriceTier(272_000, 4m, 15m) { CachedInput = 0.4m }],
            };
            var (i, c, w, o) = input > 272_000 ? (4m, 0.4m, 5m, 15m) : (2m, 0.2m, 2.5m, 10m);
            var expected = (((input - cached - written) * i) + (cached * c) + (written * w) + (output * o)) / 1_000_000m;
            Assert.Equal(expected, prices.CostOf(usage).Usd);
        });
}

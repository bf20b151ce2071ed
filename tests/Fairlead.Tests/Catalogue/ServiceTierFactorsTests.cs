using CsCheck;
using Fairlead.Catalogue;

namespace Fairlead.Tests.Catalogue;

public sealed class ServiceTierFactorsTests
{
    private static readonly ServiceTierFactors Factors = new([new("flex", 0.5m), new("priority", 2m)]);

    [Theory]
    [InlineData("flex", "0.5")]
    [InlineData("FLEX", "0.5")]
    [InlineData("priority", "2")]
    [InlineData("default", "1")]
    [InlineData("of next year", "1")]
    [InlineData(null, "1")]
    public void Of_Tier_IsListedFactorOrOne(string? tier, string factor) => Assert.Equal(Number(factor), Factors.Of(tier));

    [Theory]
    // The provider chooses.
    [InlineData(null, "2")]
    [InlineData("auto", "2")]
    [InlineData("priority", "2")]
    // A provider without room for flex work falls back to the plain price.
    [InlineData("flex", "1")]
    [InlineData("default", "1")]
    [InlineData("standard", "1")]
    public void Dearest_Request_IsHighestPossibleFactor(string? requested, string factor) =>
        Assert.Equal(Number(factor), Factors.Dearest(requested));

    [Theory]
    [InlineData("priority", "2")]
    [InlineData("flex", "1")]
    [InlineData("auto", "1")]
    [InlineData(null, "1")]
    public void OfUnreported_Request_GivesNoDiscount(string? requested, string factor) =>
        Assert.Equal(Number(factor), Factors.OfUnreported(requested));

    /// <summary>What is charged never exceeds what was reserved, unless a provider works in another tier than the one it was asked for.</summary>
    [Fact]
    public void Dearest_AnyFactors_CoversEveryPermittedTier() =>
        Gen.Select(Gen.Decimal[0, 10], Gen.Decimal[0, 10], Gen.OneOf<string?>(null, "auto", "a", "b", "c"), Gen.OneOf<string?>(null, "a", "b", "c")).Sample((a, b, requested, reported) =>
        {
            var factors = new ServiceTierFactors([new("a", a), new("b", b)]);
            var charged = reported is null ? factors.OfUnreported(requested) : factors.Of(reported);
            if (requested is null or "auto" || reported is null || reported == requested || reported == "c") Assert.True(charged <= factors.Dearest(requested));
        });

    private static decimal Number(string text) => decimal.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
}

using Fairlead.Catalogue;

namespace Fairlead.Tests.Catalogue;

public sealed class PricesConfigRulesTests
{
    private static readonly DateTimeOffset May = new(2027, 5, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Check_SeveralErrors_ListsAll()
    {
        var errors = PricesConfigRules.Check("m.prices",
        [
            new() { From = May, Input = 1, Output = 1, ServiceTiers = new Dictionary<string, decimal> { ["flex"] = -1, ["Flex"] = 1, ["batch"] = 0.4m }, BatchFactor = 0.5m },
            new() { Input = -1, Output = 1 },
            new() { From = May.ToOffset(TimeSpan.FromHours(3)), Input = 1, Output = 1 },
            new() { From = May.AddDays(-1), Input = 1, Output = 1, BatchFactor = -2 },
        ]).ToArray();
        Assert.Equal(
            [
                "m.prices[0].serviceTiers.flex", "m.prices[0].serviceTiers.Flex", "m.prices[0].batchFactor", "m.prices[1].input", "m.prices[1].from", "m.prices[2].from",
                "m.prices[3].batchFactor", "m.prices[3].from",
            ],
            errors.Select(error => error.Key));
        Assert.Contains("same time", errors[5].Remedy, StringComparison.Ordinal);
        Assert.Contains("2027-05-01T00:00:00Z", errors[7].Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_OrderedEntries_HasNoErrors() => Assert.Empty(PricesConfigRules.Check("m.prices",
        [new() { Input = 1, Output = 1 }, new() { From = May, Input = 1, Output = 1, BatchFactor = 0.5m }, new() { From = May.AddTicks(1), Input = 2, Output = 1 }]));

    [Fact]
    public void Check_EmptyList_IsError() => Assert.Equal("m.prices", Assert.Single(PricesConfigRules.Check("m.prices", [])).Key);
}

using CsCheck;
using Fairlead.Catalogue;

namespace Fairlead.Tests.Catalogue;

public sealed class PriceListTests
{
    private static readonly DateTimeOffset December = new(2026, 12, 1, 0, 0, 0, TimeSpan.Zero);

    private static readonly PriceList Dated = new(
    [
        new(DateTimeOffset.MinValue, new ModelPrices(1, 10)),
        new(December, new ModelPrices(2, 20)),
        new(new DateTimeOffset(2027, 1, 1, 9, 30, 0, TimeSpan.FromHours(9)), new ModelPrices(3, 30)),
    ]);

    [Theory]
    [InlineData("0001-01-01T00:00:00Z", 1)]
    [InlineData("2026-11-30T23:59:59.9999999Z", 1)]
    // The exact moment belongs to the new entry, whatever the zone that names it.
    [InlineData("2026-12-01T00:00:00Z", 2)]
    [InlineData("2026-12-01T05:45:00+05:45", 2)]
    [InlineData("2026-11-30T23:59:59.9999999+00:00", 1)]
    [InlineData("2026-12-01T00:59:59+01:00", 1)]
    [InlineData("2026-12-31T23:00:00-01:30", 3)]
    [InlineData("2027-01-01T00:29:59.9999999Z", 2)]
    [InlineData("2027-01-01T00:30:00Z", 3)]
    [InlineData("9999-12-31T23:59:59Z", 3)]
    public void At_Boundaries_SelectsEntryInForce(string time, int input) =>
        Assert.Equal(input, Dated.At(DateTimeOffset.Parse(time, System.Globalization.CultureInfo.InvariantCulture)).Input);

    [Fact]
    public void At_BeforeFirstEntry_IsFirst() =>
        Assert.Equal(7, new PriceList([new(December, new ModelPrices(7, 7))]).At(December.AddYears(-5)).Input);

    [Fact]
    public void At_SinglePrices_AreAlwaysInForce()
    {
        PriceList always = new ModelPrices(4, 5);
        Assert.Equal(4, always.At(DateTimeOffset.MinValue).Input);
        Assert.Equal(4, always.At(DateTimeOffset.MaxValue).Input);
    }

    /// <summary>Against the plainest definition: the last entry that has started, else the first.</summary>
    [Fact]
    public void At_AnyListAndTime_IsLastStartedEntry() =>
        Gen.Select(Gen.Int[0, 50].HashSet[1, 8], Gen.Int[-5, 55], Gen.Int[-14 * 60, 14 * 60]).Sample((hours, at, zone) =>
        {
            var starts = hours.Order().Select(hour => December.AddHours(hour)).ToArray();
            var list = new PriceList(starts.Select((start, i) => new DatedPrices(start, new ModelPrices(i, 0))));
            var time = December.AddHours(at).ToOffset(TimeSpan.FromMinutes(zone));
            Assert.Equal(Math.Max(0, starts.Count(start => start <= time) - 1), list.At(time).Input);
            if (starts.Contains(time)) Assert.NotEqual(list.At(time.AddTicks(-1)).Input, time == starts[0] ? -1 : list.At(time).Input);
        });

    [Fact]
    public void Constructor_UnorderedOrEmptyEntries_Throws()
    {
        Assert.Throws<ArgumentException>(() => new PriceList([]));
        Assert.Throws<ArgumentException>(() => new PriceList([new(December, ModelPrices.Free), new(December, ModelPrices.Free)]));
        Assert.Throws<ArgumentException>(() => new PriceList([new(December, ModelPrices.Free), new(December.AddTicks(-1), ModelPrices.Free)]));
    }
}

using CsCheck;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Tests.Auditing;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Limits;

/// <summary>What is reserved, against what is charged later.</summary>
public sealed class WorstCaseTests
{
    private static readonly DateTimeOffset NewYear = new(2027, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static readonly ServiceTierFactors Tiers = new([new("flex", 0.5m), new("priority", 2m)]);

    [Theory]
    [InlineData(-1, "0.001")]
    [InlineData(0, "0.003")]
    public void Of_DatedPrices_TakesEntryInForceAtAcceptance(int seconds, string usd)
    {
        var time = new FakeTimeProvider(NewYear.AddSeconds(seconds));
        var call = Call(time, new PriceList([new(DateTimeOffset.MinValue, new ModelPrices(0, 1)), new(NewYear, new ModelPrices(0, 3)), new(NewYear.AddDays(1), new ModelPrices(0, 9))]));
        time.Advance(TimeSpan.FromDays(3));
        Assert.Equal(decimal.Parse(usd, System.Globalization.CultureInfo.InvariantCulture), WorstCase.Of(call).Usd);
        // The charge uses the same entry, however late the attempt ends.
        Assert.Equal(WorstCase.Of(call).Usd, AttemptCharge.CostOf(call, Try(call), new Usage(0, 1000)).Usd);
    }

    [Theory]
    [InlineData(null, true, "0.002")]
    [InlineData("auto", true, "0.002")]
    [InlineData("priority", true, "0.002")]
    [InlineData("default", true, "0.001")]
    [InlineData("flex", true, "0.001")]
    // A provider that does not get the field chooses as it likes.
    [InlineData("default", false, "0.002")]
    public void Of_ServiceTier_TakesDearestThatRequestPermits(string? requested, bool speaks, string usd)
    {
        var call = Call(TimeProvider.System, new ModelPrices(0, 1) { ServiceTiers = Tiers }, speaks);
        call.Facts.ServiceTier = requested;
        Assert.Equal(decimal.Parse(usd, System.Globalization.CultureInfo.InvariantCulture), WorstCase.Of(call).Usd);
    }

    [Fact]
    public void Of_RepeatedForOneCall_ReadsItsBodyOnce()
    {
        var call = Call(TimeProvider.System, new ModelPrices(1, 1));
        call.MaxInputTokens = 1000;
        using var first = Fairlead.Streaming.PooledBuffer.Of("""{"ttl":"1h"}"""u8.ToArray());
        using var other = Fairlead.Streaming.PooledBuffer.Of("{}"u8.ToArray());
        call.Body = first;
        var usd = WorstCase.Of(call).Usd;
        Assert.True(usd > WorstCase.WithoutBody(call).Usd);
        call.Body = other;
        Assert.Equal(usd, WorstCase.Of(call).Usd);
    }

    [Theory]
    [InlineData("flex", null, "0.0005")]
    [InlineData("priority", "flex", "0.002")]
    [InlineData("other", "priority", "0.001")]
    [InlineData(null, "priority", "0.002")]
    [InlineData(null, "flex", "0.001")]
    [InlineData(null, null, "0.001")]
    public void CostOf_ServiceTier_FollowsReport(string? reported, string? requested, string usd)
    {
        var call = Call(TimeProvider.System, new ModelPrices(0, 1) { ServiceTiers = Tiers });
        call.Facts.ServiceTier = requested;
        var attempt = Try(call);
        attempt.Meter.ReportTier(reported);
        Assert.Equal(decimal.Parse(usd, System.Globalization.CultureInfo.InvariantCulture), AttemptCharge.CostOf(call, attempt, new Usage(0, 1000)).Usd);
    }

    /// <summary>For any prices, dates and tiers that the request permits: the charge stays within the reservation.</summary>
    [Fact]
    public void Of_AnyPricesAndUsage_CoversCharge() => Gen.Select(
        Gen.Select(Gen.Decimal[0, 20], Gen.Decimal[0, 20], Gen.Decimal[0, 3], Gen.Decimal[0, 3]).Array[1, 4], Gen.Int[-3, 6], Gen.OneOf<string?>(null, "auto", "flex", "priority", "default"),
        Gen.Bool, Gen.Int[0, 500], Gen.Int[0, 1000]).Sample((entries, at, requested, hasReport, input, output) =>
        {
            var list = new PriceList(entries.Select((entry, i) => new DatedPrices(NewYear.AddHours(i),
                new ModelPrices(entry.Item1, entry.Item2) { ServiceTiers = new ServiceTierFactors([new("flex", entry.Item3), new("priority", entry.Item4)]) })));
            var time = new FakeTimeProvider(NewYear.AddHours(at));
            var call = Call(time, list);
            call.MaxInputTokens = 500;
            call.Facts.ServiceTier = requested;
            var held = WorstCase.Of(call).Usd;
            time.Advance(TimeSpan.FromHours(9));
            var attempt = Try(call);
            // A provider that says so works in the requested tier, or in its plain one.
            if (hasReport) attempt.Meter.ReportTier(output % 2 == 0 ? "default" : ServiceTierName.Of(requested));
            Assert.True(AttemptCharge.CostOf(call, attempt, new Usage(input, output)).Usd <= held);
        });

    private static GatewayCall Call(TimeProvider time, PriceList prices, bool speaks = true)
    {
        var call = RecordedCalls.New(time);
        call.Facts.MaxOutputTokens = 1000;
        call.Model = call.Model with
        {
            Deployments = [new Deployment { Name = "p/m", ProviderName = "p", UpstreamModel = "m", Prices = prices, Provider = new PlainProvider(speaks) }],
        };
        return call;
    }

    private static Attempt Try(GatewayCall call) => new("att_1", 1, call.Model.Deployments[0]);

    private sealed class PlainProvider(bool speaks) : Provider("p", "plain")
    {
        public override bool Speaks(Dialect dialect) => speaks;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}

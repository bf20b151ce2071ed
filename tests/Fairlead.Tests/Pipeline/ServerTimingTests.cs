using System.Globalization;
using Fairlead.Delivery;
using Fairlead.Tests.Auditing;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Pipeline;

public class ServerTimingTests
{
    [Theory]
    [InlineData(12.5)]
    [InlineData(12.05)]
    [InlineData(12)]
    [InlineData(0.02)]
    [InlineData(0.9)]
    [InlineData(0.999)]
    [InlineData(123456.78)]
    public void ServerTiming_Duration_HasTwoDecimalsWithoutTrailingZeros(double ms)
    {
        var call = RecordedCalls.New(new FakeTimeProvider()).End();
        call.Timings.Record("retrieval", TimeSpan.FromMilliseconds(ms));
        Assert.Equal($"retrieval;dur={ms.ToString("0.##", CultureInfo.InvariantCulture)}", ReplyHeaders.ServerTiming(call));
    }

    [Fact]
    public void ServerTiming_ManyPhases_ListsAll()
    {
        var call = RecordedCalls.New(new FakeTimeProvider()).End();
        for (var i = 0; i < 32; i++) call.Timings.Record($"phase-{i}-{new string('x', 40)}", TimeSpan.FromMilliseconds(i + 0.25));
        var parts = ReplyHeaders.ServerTiming(call).Split(", ");
        Assert.Equal(32, parts.Length);
        Assert.All(parts, part => Assert.Matches("^phase-[0-9]+-x{40};dur=[0-9]+[.]25$", part));
    }
}

using Fairlead.Routing;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Routing;

public sealed class PeakEwmaTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Seconds_NothingSeen_IsNull() => Assert.Null(new PeakEwma(_time).Seconds);

    [Fact]
    public void Observe_SlowerResponse_CountsAtOnceAndFasterOnesGradually()
    {
        var latency = new PeakEwma(_time);
        latency.Observe(TimeSpan.FromSeconds(1));
        latency.Observe(TimeSpan.FromSeconds(4));
        Assert.Equal(4, latency.Seconds!.Value, 6);
        _time.Advance(PeakEwma.Decay);
        latency.Observe(TimeSpan.FromSeconds(1));
        Assert.Equal((4 / Math.E) + (1 - (1 / Math.E)), latency.Seconds!.Value, 6);
        for (var i = 0; i < 20; i++)
        {
            _time.Advance(PeakEwma.Decay);
            latency.Observe(TimeSpan.FromSeconds(1));
        }
        Assert.Equal(1, latency.Seconds!.Value, 3);
    }

    /// <summary>Otherwise a deployment that was slow once would never be tried again.</summary>
    [Fact]
    public void Seconds_WithoutTraffic_Fades()
    {
        var latency = new PeakEwma(_time);
        latency.Observe(TimeSpan.FromSeconds(8));
        _time.Advance(5 * PeakEwma.Decay);
        Assert.InRange(latency.Seconds!.Value, 0.01, 0.1);
    }
}

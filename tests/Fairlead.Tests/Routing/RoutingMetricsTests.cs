using System.Diagnostics.Metrics;
using Fairlead.Catalogue;
using Fairlead.Routing;

namespace Fairlead.Tests.Routing;

/// <summary>What operators see of breakers.</summary>
public sealed class RoutingMetricsTests : IDisposable
{
    private readonly RoutingWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void BreakerOpen_OpenAndClosedDeployments_AreShown()
    {
        var seen = new List<string>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (_world.IsOwn(instrument.Meter)) self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => seen.Add($"{instrument.Name}={value} {tags[0].Key}={tags[0].Value}"));
        listener.Start();
        Succeed("works");
        var openedAt = _world.Time.GetUtcNow();
        for (var i = 0; i < BreakerConfig.Default.Failures; i++) Fail("broken");

        listener.RecordObservableInstruments();
        Assert.Equal(["fairlead.breaker.open=0 fairlead.deployment=works/m", "fairlead.breaker.open=1 fairlead.deployment=broken/m"], seen.Order(StringComparer.Ordinal));
        Assert.Equal(new BreakerState(true, openedAt, openedAt + BreakerConfig.Default.Interval), _world.Healths.Find("broken/m"));
        Assert.Equal(BreakerState.Closed, _world.Healths.Find("works/m"));
        Assert.Equal(BreakerState.Closed, _world.Healths.Find("nobody/m"));
    }

    private void Succeed(string name)
    {
        Assert.True(_world.Healths.Of(RoutingWorld.At(name)).TryEnter(out var ticket));
        ticket.GiveBack();
        ticket.Succeeded();
    }

    private void Fail(string name)
    {
        Assert.True(_world.Healths.Of(RoutingWorld.At(name)).TryEnter(out var ticket));
        ticket.GiveBack();
        ticket.Ended(HealthVerdict.Failed);
    }
}

using System.Diagnostics.Metrics;
using Fairlead.Scheduling;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Tests.Scheduling;

public sealed class SchedulingMetricsTests
{
    [Fact]
    public void Metrics_CallsWait_ReportLengthAndWaitByClass()
    {
        var queue = new VirtualQueue();
        var one = VirtualQueue.At("p/m", 1);
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        using var metrics = new SchedulingMetrics(services.GetRequiredService<IMeterFactory>(), queue.Slots);
        var seen = new List<string>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Scope == services.GetRequiredService<IMeterFactory>()) self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => seen.Add($"{instrument.Name}={value} {Text(tags)}"));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => seen.Add($"{instrument.Name}={value} {Text(tags)}"));
        listener.Start();

        Assert.True(queue.Slots.TryTake(one));
        queue.Send(queue.NewCall("a", [one], TimeSpan.FromSeconds(1), rank: 0));
        for (var i = 0; i < 2; i++) queue.Send(queue.NewCall("a", [one], TimeSpan.FromSeconds(1)));
        metrics.Waited(2, TimeSpan.FromSeconds(3), "granted");
        listener.RecordObservableInstruments();
        Assert.Equal(
            [
                "fairlead.queue.wait=3 fairlead.class=bulk fairlead.queue.outcome=granted",
                "fairlead.queue.length=1 fairlead.model=m fairlead.class=realtime",
                "fairlead.queue.length=2 fairlead.model=m fairlead.class=standard",
            ], seen);
    }

    private static string Text(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var parts = new List<string>();
        foreach (var (name, value) in tags) parts.Add($"{name}={value}");
        return string.Join(' ', parts);
    }
}

using System.Diagnostics.Metrics;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Scheduling.Quotas;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Tests.Scheduling;

public sealed class SchedulingMetricsTests
{
    [Fact]
    public void Metrics_CallsWait_ReportLengthAndWaitByClass()
    {
        var queue = new VirtualQueue();
        var one = VirtualQueue.At("p/m", 10) with { IsAdaptive = true };
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        using var metrics = new SchedulingMetrics(services.GetRequiredService<IMeterFactory>(), queue.Slots);
        var seen = new List<string>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Scope == services.GetRequiredService<IMeterFactory>()) self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => seen.Add($"{instrument.Name}={value} {Text(tags)}"));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => seen.Add($"{instrument.Name}={Math.Round(value, 3)} {Text(tags)}"));
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => seen.Add($"{instrument.Name}={value} {Text(tags)}"));
        listener.Start();

        for (var i = 0; i < 10; i++) Assert.True(queue.Slots.TryTake(one));
        queue.Slots.GiveBack(one, new AttemptSample(AttemptResult.Refused, queue.Time.GetTimestamp(), 1) { IsRateLimited = true });
        queue.Slots.SetLimits([one with { IsAdaptive = false }]);
        Assert.True(queue.Slots.TryTake(one));
        queue.Slots.SetLimits([one]);
        queue.Send(queue.NewCall("a", [one], TimeSpan.FromSeconds(1), rank: 0));
        for (var i = 0; i < 2; i++) queue.Send(queue.NewCall("a", [one], TimeSpan.FromSeconds(1)));
        queue.Slots.QuotaOf(one).Report(0, 0, new ReportedLimits { Requests = new ReportedLimit(0, null, TimeSpan.FromSeconds(5)) });
        metrics.Waited(2, TimeSpan.FromSeconds(3), "granted");
        listener.RecordObservableInstruments();
        Assert.Equal(
            [
                "fairlead.queue.wait=3 fairlead.class=bulk fairlead.queue.outcome=granted",
                "fairlead.queue.length=1 fairlead.model=m fairlead.class=realtime",
                "fairlead.queue.length=2 fairlead.model=m fairlead.class=standard",
                "fairlead.deployment.in_flight=10 fairlead.deployment=p/m",
                "fairlead.deployment.learned_limit=8 fairlead.deployment=p/m",
                "fairlead.deployment.hold=5 fairlead.deployment=p/m",
                "fairlead.deployment.errors=1 fairlead.deployment=p/m fairlead.deployment.error=rate_limited",
                "fairlead.deployment.errors=0 fairlead.deployment=p/m fairlead.deployment.error=server_error",
            ], seen);
    }

    private static string Text(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var parts = new List<string>();
        foreach (var (name, value) in tags) parts.Add($"{name}={value}");
        return string.Join(' ', parts);
    }
}

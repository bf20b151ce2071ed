using System.Diagnostics.Metrics;
using Fairlead.Access;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Telemetry;

namespace Fairlead.Scheduling;

/// <summary>Length of the queues and how long calls wait in them, by class. Thread-safe.</summary>
internal sealed class SchedulingMetrics : IDisposable
{
    private static readonly InstrumentAdvice<double> WaitBuckets = new()
    {
        HistogramBucketBoundaries = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300],
    };

    private readonly Meter _meter;
    private readonly Histogram<double> _waits;

    public SchedulingMetrics(IMeterFactory meters, DeploymentSlots slots)
    {
        _meter = meters.Create(GatewayTelemetry.Name);
        _waits = _meter.CreateHistogram(
            "fairlead.queue.wait", "s", "Wait for a slot at a deployment, of calls that had to wait.", tags: null, WaitBuckets);
        _meter.CreateObservableGauge(
            "fairlead.queue.length", () => Lengths(slots), "{call}", "Calls that wait for a slot at a deployment.");
        _meter.CreateObservableGauge("fairlead.deployment.in_flight", () => slots.Used.Select(slot => Of(slot, slot.Taken)), "{attempt}",
            "Attempts that run at a deployment.");
        _meter.CreateObservableGauge("fairlead.deployment.learned_limit",
            () => slots.Used.Where(slot => slot.Learned.InForce < LearnedLimit.None).Select(slot => Of(slot, slot.Learned.InForce)),
            "{attempt}", "Concurrency that a deployment was seen to sustain; absent without signs of strain.");
        _meter.CreateObservableGauge("fairlead.deployment.hold",
            () => slots.Used.Where(slot => slot.Quota.IsActive).Select(slot => Of(slot, slot.Quota.WaitFor(slot.Keys, 1).TotalSeconds)),
            "s", "How long the provider's own limits leave no room for a call.");
        _meter.CreateObservableCounter("fairlead.deployment.errors", () => slots.Used.SelectMany(Errors), "{response}",
            "Responses of a deployment with status 429, and with 500 or above.");
    }

    /// <param name="rank">Rank of the class.</param>
    /// <param name="wait">How long the call waited.</param>
    /// <param name="outcome">granted, timeout, queue_full, deadline, postponed, closed or left.</param>
    public void Waited(int rank, TimeSpan wait, string outcome)
    {
        if (!_waits.Enabled) return;
        _waits.Record(wait.TotalSeconds, new("fairlead.class", CallClasses.All[rank]), new("fairlead.queue.outcome", outcome));
    }

    public void Dispose() => _meter.Dispose();

    private static Measurement<T> Of<T>(DeploymentSlot slot, T value)
        where T : struct => new(value, new KeyValuePair<string, object?>("fairlead.deployment", slot.Name));

    private static IEnumerable<Measurement<long>> Errors(DeploymentSlot slot) =>
    [
        new(slot.Statistics.RateLimited, new("fairlead.deployment", slot.Name), new("fairlead.deployment.error", "rate_limited")),
        new(slot.Statistics.ServerErrors, new("fairlead.deployment", slot.Name), new("fairlead.deployment.error", "server_error")),
    ];

    private static IEnumerable<Measurement<int>> Lengths(DeploymentSlots slots) => slots.Lengths().Select(length =>
        new Measurement<int>(length.Waiting, new("fairlead.model", length.Model), new("fairlead.class", CallClasses.All[length.Class])));
}

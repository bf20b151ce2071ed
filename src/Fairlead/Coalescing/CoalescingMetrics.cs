using System.Diagnostics.Metrics;
using Fairlead.Telemetry;

namespace Fairlead.Coalescing;

/// <summary>How much work was shared. Thread-safe.</summary>
internal sealed class CoalescingMetrics : IDisposable
{
    private static readonly KeyValuePair<string, object?> Computed = new("fairlead.coalescing.result", "computed");
    private static readonly KeyValuePair<string, object?> Shared = new("fairlead.coalescing.result", "shared");

    private readonly Meter _meter;
    private readonly Counter<long> _inputs;
    private readonly Histogram<int> _calls;
    private readonly Counter<long> _generations;

    public CoalescingMetrics(IMeterFactory meters)
    {
        _meter = meters.Create(GatewayTelemetry.Name);
        _inputs = _meter.CreateCounter<long>(
            "fairlead.coalescing.inputs", "{input}", "Inputs of embeddings that were sent to a provider, or shared with another call.");
        _generations = _meter.CreateCounter<long>(
            "fairlead.coalescing.generations", "{call}", "Calls that got the output of a generation that another call had started.");
        _calls = _meter.CreateHistogram(
            "fairlead.coalescing.batch", "{call}", "Calls whose inputs were sent in one request.", tags: null,
            new InstrumentAdvice<int> { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256] });
    }

    /// <summary>A call got the output of a generation that another call had started.</summary>
    public void GotGeneration() => _generations.Add(1);

    /// <summary>A request was sent.</summary>
    public void Sent(int inputs, int calls)
    {
        _inputs.Add(inputs, Computed);
        _calls.Record(calls);
    }

    /// <summary>A call got vectors for which another call paid.</summary>
    public void Got(int inputs) => _inputs.Add(inputs, Shared);

    public void Dispose() => _meter.Dispose();
}

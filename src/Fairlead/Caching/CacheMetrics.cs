using System.Diagnostics.Metrics;
using Fairlead.Pipeline;
using Fairlead.Telemetry;

namespace Fairlead.Caching;

/// <summary>How the cache is used. Thread-safe.</summary>
internal sealed class CacheMetrics : IDisposable
{
    private static readonly KeyValuePair<string, object?>[] Results =
    [
        new("fairlead.cache.result", "bypass"), new("fairlead.cache.result", "miss"), new("fairlead.cache.result", "hit"),
    ];

    private readonly Meter _meter;
    private readonly Counter<long> _calls;
    private readonly Counter<long> _stored;

    public CacheMetrics(IMeterFactory meters)
    {
        _meter = meters.Create(GatewayTelemetry.Name);
        _calls = _meter.CreateCounter<long>("fairlead.cache.calls", "{call}", "Calls by what the cache did for them.");
        _stored = _meter.CreateCounter<long>("fairlead.cache.stored", "{response}", "Responses that were kept.");
    }

    /// <summary>What the cache did for a call.</summary>
    public void Used(CacheStatus status) => _calls.Add(1, Results[(int)status]);

    /// <summary>A response was kept.</summary>
    public void Stored() => _stored.Add(1);

    public void Dispose() => _meter.Dispose();
}

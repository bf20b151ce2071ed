using System.Diagnostics.Metrics;

namespace Fairlead.Limits.Redis;

/// <summary>Metrics of Redis. Without Redis they have no values. Thread-safe.</summary>
internal sealed class RedisMetrics
{
    private readonly Counter<long> _reservations;
    private volatile int _nodes;
    private volatile int _available = -1;

    public RedisMetrics(IMeterFactory meters)
    {
        var meter = meters.Create("Fairlead");
        _reservations = meter.CreateCounter<long>(
            "fairlead.redis.reservations", "{reservation}",
            "Reservations of rates and concurrency, by where they were decided: redis, local (in this node's share) or rejected.");
        meter.CreateObservableGauge(
            "fairlead.redis.available", Available, null, "1 while rates are counted in Redis, 0 while it is unavailable.");
        meter.CreateObservableGauge("fairlead.redis.nodes", AliveNodes, "{node}", "Nodes that were alive when Redis last responded.");
    }

    /// <summary>0 before Redis responded once.</summary>
    public int Nodes
    {
        get => _nodes;
        set => _nodes = value;
    }

    public void Changed(bool isAvailable) => _available = isAvailable ? 1 : 0;

    public void Reserved(string where) => _reservations.Add(1, new KeyValuePair<string, object?>("where", where));

    private IEnumerable<Measurement<int>> Available() => _available >= 0 ? [new(_available)] : [];

    private IEnumerable<Measurement<int>> AliveNodes() => _nodes > 0 ? [new(_nodes)] : [];
}

using Microsoft.Extensions.Logging;

namespace Fairlead.Limits.Redis;

/// <summary>
/// Whether calls use Redis. The first failure stops that for all of them, so a Redis that is unavailable costs only the calls that wait for
/// it at that moment. The heartbeat tries it in the background. Thread-safe.
/// </summary>
internal sealed class RedisCircuit(RedisMetrics metrics, TimeProvider time, ILogger<RedisCircuit> logger) : IDisposable
{
    private const int Starting = 0;
    private const int Available = 1;
    private const int Unavailable = 2;

    private readonly Lock _gate = new();
    private CancellationTokenSource _opened = new();
    private int _state;
    private long _outages;
    private volatile int _nodes = 1;
    private int _fewer;
    private long? _fewerSince;

    public bool IsAvailable => Volatile.Read(ref _state) == Available;

    /// <summary>
    /// How often Redis became unavailable. What was sent at another number may have an unknown outcome. To be read before
    /// <see cref="Opened"/>.
    /// </summary>
    public long Outages => Volatile.Read(ref _outages);

    /// <summary>Ends the waits of calls for Redis when it becomes unavailable.</summary>
    public CancellationToken Opened => Volatile.Read(ref _opened).Token;

    /// <summary>
    /// The nodes among which limits are shared out, 1 or more: those that were alive when Redis last responded. Fewer count only when Redis
    /// has reported no more for a lease: after an outage or a loss of its content, it learns of the nodes one by one.
    /// </summary>
    public int Nodes => _nodes;

    /// <summary>After a failure.</summary>
    public void Open(Exception exception)
    {
        lock (_gate)
        {
            if (_state == Unavailable) return;
            // Whoever sees the new state sees the new number.
            Volatile.Write(ref _outages, _outages + 1);
            Volatile.Write(ref _state, Unavailable);
            _fewerSince = null;
            // Calls do not go on here: many may wait.
            _ = _opened.CancelAsync();
        }
        metrics.Changed(isAvailable: false);
        logger.RedisUnavailable(RedisErrors.Describe(exception), _nodes);
    }

    /// <summary>After Redis responded and knows what this node holds.</summary>
    /// <param name="nodes">The nodes that are alive.</param>
    /// <param name="outages"><see cref="Outages"/> before Redis was told of it.</param>
    /// <returns>False, and nothing changes, if Redis became unavailable in between.</returns>
    public bool Close(int nodes, long outages)
    {
        lock (_gate)
        {
            if (_outages != outages) return false;
            Count(nodes);
            metrics.Nodes = nodes;
            if (_state == Available) return true;
            // Nothing has to be disposed of: the old one has no timer.
            if (_state == Unavailable) Volatile.Write(ref _opened, new CancellationTokenSource());
            Volatile.Write(ref _state, Available);
        }
        metrics.Changed(isAvailable: true);
        logger.RedisAvailable(nodes);
        return true;
    }

    /// <summary>At the end of the process, when no call waits.</summary>
    public void Dispose() => _opened.Dispose();

    private void Count(int nodes)
    {
        if (nodes >= _nodes)
        {
            (_nodes, _fewerSince) = (nodes, null);
            return;
        }
        var now = time.GetTimestamp();
        if (_fewerSince is not { } since)
        {
            (_fewer, _fewerSince) = (nodes, now);
            return;
        }
        _fewer = Math.Max(_fewer, nodes);
        if (time.GetElapsedTime(since, now) < RedisRateStore.Lease) return;
        (_nodes, _fewerSince) = (_fewer, null);
    }
}

using Microsoft.Extensions.Logging;

namespace Fairlead.Limits.Redis;

/// <summary>
/// Whether calls use Redis. The first failure stops that for all of them, so a Redis that is unavailable costs only the calls that wait for
/// it at that moment. The heartbeat tries it in the background. Thread-safe.
/// </summary>
internal sealed class RedisCircuit(RedisMetrics metrics, ILogger<RedisCircuit> logger) : IDisposable
{
    private const int Starting = 0;
    private const int Available = 1;
    private const int Unavailable = 2;

    private CancellationTokenSource _opened = new();
    private int _state;
    private volatile int _nodes = 1;

    public bool IsAvailable => Volatile.Read(ref _state) == Available;

    /// <summary>Ends the waits of calls for Redis when it becomes unavailable.</summary>
    public CancellationToken Opened => Volatile.Read(ref _opened).Token;

    /// <summary>The nodes that were alive when Redis last responded, 1 or more.</summary>
    public int Nodes => _nodes;

    /// <summary>After a failure.</summary>
    public void Open(Exception exception)
    {
        if (Interlocked.Exchange(ref _state, Unavailable) == Unavailable) return;
        // Not here: many calls may wait.
        _ = Volatile.Read(ref _opened).CancelAsync();
        metrics.Changed(isAvailable: false);
        logger.RedisUnavailable(RedisErrors.Describe(exception), _nodes);
    }

    /// <summary>After Redis responded and knows what this node holds.</summary>
    /// <param name="nodes">The nodes that are alive.</param>
    public void Close(int nodes)
    {
        _nodes = nodes;
        metrics.Nodes = nodes;
        // Has one caller, the heartbeat. Nothing has to be disposed of: the old one has no timer.
        if (Volatile.Read(ref _opened).IsCancellationRequested) Volatile.Write(ref _opened, new CancellationTokenSource());
        if (Interlocked.Exchange(ref _state, Available) == Available) return;
        metrics.Changed(isAvailable: true);
        logger.RedisAvailable(nodes);
    }

    /// <summary>At the end of the process, when no call waits.</summary>
    public void Dispose() => _opened.Dispose();
}

namespace Fairlead.Pipeline;

/// <summary>
/// Whether this process accepts calls. After SIGTERM, new calls are refused, and open ones continue until the drain limit. Thread-safe.
/// </summary>
internal sealed class DrainState : IDisposable
{
    private readonly CancellationTokenSource _limit = new();
    private readonly CancellationTokenSource _over = new();
    private volatile bool _draining;
    private int _active;

    /// <summary>True from SIGTERM on.</summary>
    public bool IsDraining => _draining;

    /// <summary>Number of calls in progress.</summary>
    public int Active => Volatile.Read(ref _active);

    /// <summary>Fires when open calls must end.</summary>
    public CancellationToken LimitReached => _limit.Token;

    public void Begin() => _draining = true;

    /// <summary>
    /// Fires when no call is in progress, or when open calls must end: no reader needs to wait for output of this process.
    /// </summary>
    public CancellationToken Over => _over.Token;

    public void ReachLimit()
    {
        _limit.Cancel();
        _over.Cancel();
    }

    /// <summary>Call when all calls have ended by themselves.</summary>
    public void End() => _over.Cancel();

    public void Enter() => Interlocked.Increment(ref _active);

    public void Leave() => Interlocked.Decrement(ref _active);

    public void Dispose()
    {
        _limit.Dispose();
        _over.Dispose();
    }
}

namespace Fairlead.Pipeline;

/// <summary>Why a call's token fired.</summary>
internal enum CancellationReason
{
    None,

    /// <summary>The client closed its connection.</summary>
    ClientLeft,

    /// <summary>The caller's own deadline passed.</summary>
    Deadline,

    /// <summary>The total time of the attempt passed.</summary>
    AttemptTimeout,

    /// <summary>The drain limit passed after SIGTERM.</summary>
    Shutdown,

    /// <summary>The generation was cancelled by its id.</summary>
    Requested,

    /// <summary>Another process has taken the generation over.</summary>
    LeaseLost,
}

/// <summary>
/// The one token of a call, and why it fired. One timer serves the deadline and the attempt's total time, whichever is nearer. The endpoint
/// disposes it after the call has ended. Thread-safe.
/// </summary>
internal sealed class CallCancellation : IDisposable
{
    private readonly CancellationTokenSource _source;
    private readonly TimeProvider _time;
    private readonly DateTimeOffset? _deadline;
    private readonly CancellationTokenRegistration _client;
    private readonly CancellationTokenRegistration _shutdown;
    private int _reason;
    private CancellationReason _timerFor = CancellationReason.AttemptTimeout;

    /// <param name="deadline">When the caller no longer needs the response; null for never.</param>
    /// <param name="time">Clock of deadline and attempt.</param>
    /// <param name="clientLeft">The transport's token, or none if the call continues without its client.</param>
    /// <param name="shutdown">Fires at the drain limit.</param>
    public CallCancellation(DateTimeOffset? deadline, TimeProvider time, CancellationToken clientLeft, CancellationToken shutdown)
    {
        _time = time;
        _deadline = deadline;
        _source = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        _client = clientLeft.UnsafeRegister(static state => ((CallCancellation)state!).Cancel(CancellationReason.ClientLeft), this);
        _shutdown = shutdown.UnsafeRegister(static state => ((CallCancellation)state!).Cancel(CancellationReason.Shutdown), this);
        if (deadline is not null) Arm(Timeout.InfiniteTimeSpan);
    }

    public CancellationToken Token => _source.Token;

    /// <summary>Why the token fired; <see cref="CancellationReason.None"/> while it has not.</summary>
    public CancellationReason Reason
    {
        get
        {
            var known = (CancellationReason)Volatile.Read(ref _reason);
            if (known != CancellationReason.None) return known;
            if (!_source.IsCancellationRequested) return CancellationReason.None;
            // Not by the clock: a timer may fire a little before the clock shows the deadline.
            return _timerFor;
        }
    }

    /// <summary>Starts the clock of an attempt: the token fires after <paramref name="total"/> or at the deadline.</summary>
    public void Arm(TimeSpan total)
    {
        if (_source.IsCancellationRequested) return;
        _timerFor = CancellationReason.AttemptTimeout;
        if (_deadline is { } deadline)
        {
            var left = deadline - _time.GetUtcNow();
            if (left < TimeSpan.Zero) left = TimeSpan.Zero;
            if (total == Timeout.InfiniteTimeSpan || left <= total)
            {
                total = left;
                _timerFor = CancellationReason.Deadline;
            }
        }
        _source.CancelAfter(total);
    }

    /// <summary>Stops the stages of a call whose delivery has failed.</summary>
    public void Stop() => Cancel(CancellationReason.ClientLeft);

    /// <summary>Stops the call from outside. Only the first reason counts.</summary>
    public void Stop(CancellationReason reason) => Cancel(reason);

    public void Dispose()
    {
        _client.Dispose();
        _shutdown.Dispose();
        _source.Dispose();
    }

    private void Cancel(CancellationReason reason)
    {
        Interlocked.CompareExchange(ref _reason, (int)reason, (int)CancellationReason.None);
        _source.Cancel();
    }
}

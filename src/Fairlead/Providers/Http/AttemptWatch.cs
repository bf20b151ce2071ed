using System.Collections.Concurrent;

namespace Fairlead.Providers.Http;

/// <summary>The phase of an attempt in which it timed out.</summary>
internal enum WaitingFor
{
    /// <summary>A connection, if the deployment has a shorter connect timeout than its provider.</summary>
    Connect,

    /// <summary>The first content of a stream.</summary>
    FirstToken,

    /// <summary>The next fragment of a stream.</summary>
    StreamIdle,

    /// <summary>The usage and end mark after the last finish of a stream.</summary>
    End,

    /// <summary>The whole response of an attempt that is not streamed.</summary>
    Response,

    /// <summary>The end of the whole attempt.</summary>
    Total,
}

/// <summary>
/// The cancellation token of an attempt: cancelled when the caller stops it or when the current phase times out, and reports which. Owned
/// by one attempt; its sources are pooled, so that a call needs no timer of its own.
/// </summary>
internal sealed class AttemptWatch : IDisposable
{
    private const int MaxPooled = 1024;
    private static readonly ConcurrentQueue<CancellationTokenSource> Pool = new();

    private readonly TimeProvider _time;
    private readonly ProviderTimeouts _timeouts;
    private readonly CancellationToken _outer;
    private readonly CancellationTokenRegistration _registration;
    private readonly long _startedAt;
    private CancellationTokenSource? _source;
    private CancellationToken _reader;

    public AttemptWatch(ProviderTimeouts timeouts, TimeProvider time, CancellationToken outer)
    {
        _time = time;
        _timeouts = timeouts;
        _outer = outer;
        _startedAt = time.GetTimestamp();
        // Only sources with the system's clock can be reset after use.
        _source = time == TimeProvider.System && Pool.TryDequeue(out var pooled)
            ? pooled
            : new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        Token = _source.Token;
        _registration = outer.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _source);
    }

    public CancellationToken Token { get; }

    /// <summary>The phase of the last <see cref="Arm"/>; the total when that ends first.</summary>
    public WaitingFor Waiting { get; private set; }

    /// <summary>Whether the caller stopped it, not the timer.</summary>
    public bool StoppedByCaller => _outer.IsCancellationRequested || _reader.IsCancellationRequested;

    /// <summary>The phase timed out, and the caller did not stop it.</summary>
    public bool TimedOut => Token.IsCancellationRequested && !StoppedByCaller;

    /// <summary>Starts the timer of a phase, limited by the remaining time of the attempt.</summary>
    public void Arm(WaitingFor what) => Arm(what, null);

    /// <summary>
    /// Waits for what may follow the last finish, for <paramref name="grace"/> and never longer than for any other fragment.
    /// </summary>
    public void ArmEnd(TimeSpan grace) => Arm(WaitingFor.End, grace);

    private void Arm(WaitingFor what, TimeSpan? grace)
    {
        if (_source is not { } source) return;
        var left = _timeouts.Total - _time.GetElapsedTime(_startedAt);
        var phase = what switch
        {
            WaitingFor.Connect => _timeouts.Connect,
            WaitingFor.FirstToken => _timeouts.FirstToken - _time.GetElapsedTime(_startedAt),
            WaitingFor.StreamIdle => _timeouts.StreamIdle,
            WaitingFor.Response => _timeouts.Response - _time.GetElapsedTime(_startedAt),
            WaitingFor.End => grace < _timeouts.StreamIdle ? grace.Value : _timeouts.StreamIdle,
            _ => left,
        };
        Waiting = phase < left ? what : WaitingFor.Total;
        var due = phase < left ? phase : left;
        // A due time of zero disables a timer; one tick is the shortest wait.
        source.CancelAfter(due > TimeSpan.FromMilliseconds(1) ? due : TimeSpan.FromMilliseconds(1));
    }

    /// <summary>Stops the timer while nothing is awaited: a slow reader is not a stalled provider.</summary>
    public void Disarm() => _source?.CancelAfter(Timeout.InfiniteTimeSpan);

    /// <summary>Links <paramref name="reader"/>, a token other than the attempt's own, for the lifetime of the result.</summary>
    public CancellationTokenRegistration Link(CancellationToken reader)
    {
        if (reader == _outer || !reader.CanBeCanceled || _source is not { } source) return default;
        _reader = reader;
        return reader.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), source);
    }

    /// <summary>Throws for the caller's own token if that was cancelled.</summary>
    public void ThrowIfStoppedByCaller()
    {
        _reader.ThrowIfCancellationRequested();
        _outer.ThrowIfCancellationRequested();
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _source, null) is not { } source) return;
        var unlinked = !_outer.CanBeCanceled || _registration.Unregister();
        if (unlinked && Pool.Count < MaxPooled && _time == TimeProvider.System && source.TryReset())
        {
            Pool.Enqueue(source);
            return;
        }
        // The callback of the caller's token may be running now, so the source itself is left to the garbage collector.
        if (unlinked) source.Dispose();
        else source.CancelAfter(Timeout.InfiniteTimeSpan);
    }
}

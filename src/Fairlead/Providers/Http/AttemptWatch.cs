using System.Collections.Concurrent;

namespace Fairlead.Providers.Http;

/// <summary>What an attempt is waiting for when its time runs out.</summary>
internal enum WaitingFor
{
    /// <summary>A connection, where the deployment waits less for one than its provider.</summary>
    Connect,

    /// <summary>The first content of a stream.</summary>
    FirstToken,

    /// <summary>The next piece of a stream.</summary>
    StreamIdle,

    /// <summary>What may follow the last finish of a stream: usage and the end mark.</summary>
    End,

    /// <summary>The whole response of an attempt that is not streamed.</summary>
    Response,

    /// <summary>The end of the whole attempt.</summary>
    Total,
}

/// <summary>
/// The one token of an attempt: fires when the caller stops it or when the time of the present phase is over, and says which. Owned by one
/// attempt; the sources behind it are pooled, so that a call costs no timer of its own.
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
        // Only sources on the system's clock can be reset after use.
        _source = time == TimeProvider.System && Pool.TryDequeue(out var pooled) ? pooled : new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        Token = _source.Token;
        _registration = outer.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _source);
    }

    public CancellationToken Token { get; }

    /// <summary>What the last <see cref="Arm"/> waits for; the total when that comes first.</summary>
    public WaitingFor Waiting { get; private set; }

    /// <summary>Whether the caller stopped it, rather than the clock.</summary>
    public bool StoppedByCaller => _outer.IsCancellationRequested || _reader.IsCancellationRequested;

    /// <summary>The time of the phase over, and nobody stopped it.</summary>
    public bool TimedOut => Token.IsCancellationRequested && !StoppedByCaller;

    /// <summary>Starts the time of a phase, bounded by what is left of the attempt.</summary>
    public void Arm(WaitingFor what) => Arm(what, null);

    /// <summary>Waits for what may follow the last finish, for <paramref name="grace"/> and never longer than for any other piece.</summary>
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
        // A due time of zero would be no timer at all; one tick of the timer is the shortest wait.
        source.CancelAfter(due > TimeSpan.FromMilliseconds(1) ? due : TimeSpan.FromMilliseconds(1));
    }

    /// <summary>Stops the clock while nothing is awaited: a slow reader is not a stalled provider.</summary>
    public void Disarm() => _source?.CancelAfter(Timeout.InfiniteTimeSpan);

    /// <summary>Lets <paramref name="reader"/>, a token other than the attempt's own, stop it too for as long as the result lives.</summary>
    public CancellationTokenRegistration Link(CancellationToken reader)
    {
        if (reader == _outer || !reader.CanBeCanceled || _source is not { } source) return default;
        _reader = reader;
        return reader.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), source);
    }

    /// <summary>Throws for the caller's own token when that is what fired.</summary>
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
        // The callback of the caller's token may be running right now, so the source itself is left to the collector.
        if (unlinked) source.Dispose();
        else source.CancelAfter(Timeout.InfiniteTimeSpan);
    }
}

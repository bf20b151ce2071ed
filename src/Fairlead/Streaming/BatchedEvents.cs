using System.Threading.Tasks.Sources;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;

namespace Fairlead.Streaming;

/// <summary>
/// Reads a source in larger pieces: up to so many tokens a piece, none held longer than the delay. The first content goes on at once, and so
/// does everything while the model is slower than the delay, when waiting would bring nothing. A source that buffers ahead is left alone until a piece should be
/// there, so that one read brings all of it; any other is read on while the piece is held. One reader; disposed before its source.
/// </summary>
internal sealed class BatchedEvents : IEventSource, IValueTaskSource
{
    /// <summary>One long pause must not pass for the model's pace: what is learnt from a gap is at most so many delays.</summary>
    private const int LongestGap = 4;

    /// <summary>Tokens for which a source is left alone at most: what one read can bring, lest it fall behind.</summary>
    private const int MostAhead = 8;

    private static readonly TimeSpan ShortestRest = TimeSpan.FromMilliseconds(1);

    private readonly IEventSource _source;
    private readonly CallCancellation _cancellation;
    private readonly TimeSpan _delay;
    private readonly int _tokens;
    private readonly TimeProvider _time;
    private readonly DeltaMerger _merger;
    private readonly EventBatch _incoming = new();
    private readonly Action _onRead;
    private ManualResetValueTaskSourceCore<bool> _signal;
    private Task<bool>? _reading;
    private ITimer? _timer;
    private int _waiting;
    private volatile bool _due;
    private bool _watched;
    private bool _contentSeen;
    private bool _ended;
    private long _lastContentAt;
    private TimeSpan? _pace;
    private bool _slow = true;
    private long? _collectingSince;

    /// <param name="source">What is read.</param>
    /// <param name="dialect">The caller's dialect, which knows the shape of native events.</param>
    /// <param name="settings">How much is joined.</param>
    /// <param name="time">Clock of the delay.</param>
    /// <param name="cancellation">Stops a read that is under way when nobody wants the rest.</param>
    public BatchedEvents(IEventSource source, Dialect dialect, BatchSettings settings, TimeProvider time, CallCancellation cancellation)
    {
        _source = source;
        _cancellation = cancellation;
        _delay = settings.Delay;
        _tokens = settings.Tokens;
        _time = time;
        _merger = new DeltaMerger(dialect.Native?.Streams, settings.Tokens);
        _onRead = Release;
    }

    /// <summary>Whether a timer was ever needed; a slow stream needs none.</summary>
    internal bool TimerUsed => _timer is not null;

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        if (_ended) return false;
        while (true)
        {
            if (_reading is null)
            {
                _watched = false;
                if (Rest() is { } rest && rest >= ShortestRest)
                {
                    _collectingSince ??= _time.GetTimestamp();
                    await Task.Delay(rest, _time, cancellationToken);
                }
                _reading = _source.ReadAsync(_incoming, cancellationToken).AsTask();
            }
            if (!_merger.IsEmpty)
            {
                while (!_reading.IsCompleted && !_due) await ReadOrDueAsync();
                if (!_reading.IsCompleted)
                {
                    Flush(batch);
                    return true;
                }
            }
            var more = await _reading;
            _reading = null;
            if (!more)
            {
                _ended = true;
                return TakeHeld(batch);
            }
            if (TakeIncoming())
            {
                Flush(batch);
                _incoming.Clear();
                return true;
            }
            _incoming.Clear();
        }
    }

    /// <summary>What was held when the reading broke off, after <see cref="StopAsync"/>: it was made, and is charged. False when there was nothing.</summary>
    public bool TakeHeld(EventBatch batch)
    {
        if (_merger.IsEmpty) return false;
        Flush(batch);
        return true;
    }

    /// <summary>Ends a read that is under way. A source may not be disposed while it is read.</summary>
    public async ValueTask StopAsync()
    {
        if (_reading is not { } reading) return;
        if (!reading.IsCompleted) _cancellation.Stop();
        await ((Task)reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _reading = null;
        _ended = true;
        // It may have brought something that nobody asked for any more.
        if (reading.IsCompletedSuccessfully && await reading) _merger.Add(_incoming);
        _incoming.Clear();
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        if (_timer is not null) await _timer.DisposeAsync();
        _incoming.Dispose();
        _merger.Dispose();
    }

    void IValueTaskSource.GetResult(short token) => _signal.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _signal.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _signal.OnCompleted(continuation, state, token, flags);

    /// <summary>Takes what a read brought; true when it goes on now.</summary>
    private bool TakeIncoming()
    {
        var wasEmpty = _merger.IsEmpty;
        var content = _incoming.HasContent;
        var ends = Ends(_incoming);
        _merger.Add(_incoming);

        if (content)
        {
            var now = _time.GetTimestamp();
            if (!_contentSeen)
            {
                _contentSeen = true;
                _lastContentAt = now;
                return true;
            }
            _slow = IsSlow(_time.GetElapsedTime(_lastContentAt, now) / Deltas(_incoming));
            _lastContentAt = now;
        }
        // What comes before the first content is of the first content's urgency.
        if (_slow || ends || !_contentSeen || _merger.IsFull) return true;
        var left = _delay - Collected;
        if (left < ShortestRest) return true;
        if (wasEmpty) Arm(left);
        return false;
    }

    private void Flush(EventBatch batch)
    {
        _collectingSince = null;
        _merger.Flush(batch);
    }

    /// <summary>How long the oldest that waits may have waited by now.</summary>
    private TimeSpan Collected => _collectingSince is { } since ? _time.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>How long the source is left alone; null for one that must be read on, and while the model is slow.</summary>
    private TimeSpan? Rest()
    {
        if (_slow || _pace is not { } pace || !_source.BuffersAhead) return null;
        var rest = pace * Math.Min(_tokens, MostAhead);
        var left = _delay - Collected;
        return rest < left ? rest : left;
    }

    private static int Deltas(EventBatch batch)
    {
        var count = 0;
        foreach (var item in batch.Items)
        {
            if (item.IsContent) count++;
        }
        return Math.Max(1, count);
    }

    private bool IsSlow(TimeSpan gap)
    {
        var learnt = gap > _delay * LongestGap ? _delay * LongestGap : gap;
        _pace = _pace is { } pace ? pace + ((learnt - pace) / 4) : learnt;
        return gap > _delay || _pace > _delay;
    }

    private static bool Ends(EventBatch batch)
    {
        foreach (var item in batch.Items)
        {
            if (item.Event is ChoiceFinished or UsageReported or AttemptFailed) return true;
            if ((item.Traits & (NativeEventTraits.Finish | NativeEventTraits.End)) != 0) return true;
        }
        return false;
    }

    private void Arm(TimeSpan due)
    {
        _due = false;
        if (_timer is null) _timer = _time.CreateTimer(static state => ((BatchedEvents)state!).OnDue(), this, due, Timeout.InfiniteTimeSpan);
        else _timer.Change(due, Timeout.InfiniteTimeSpan);
    }

    // A late call of an earlier time sends a piece a little early, which harms nothing.
    private void OnDue()
    {
        _due = true;
        Release();
    }

    private ValueTask ReadOrDueAsync()
    {
        _signal.Reset();
        Interlocked.Exchange(ref _waiting, 1);
        if (!_watched)
        {
            _watched = true;
            _reading!.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_onRead);
        }
        // Both may have happened before anyone was waiting; whoever takes the flag ends the wait.
        if ((_reading!.IsCompleted || _due) && Interlocked.Exchange(ref _waiting, 0) == 1) return default;
        return new ValueTask(this, _signal.Version);
    }

    private void Release()
    {
        if (Interlocked.Exchange(ref _waiting, 0) == 1) _signal.SetResult(true);
    }
}

/// <summary>How much of a stream is joined.</summary>
/// <param name="Tokens">Tokens a piece, 1 to 64; 1 joins nothing.</param>
/// <param name="Delay">Longest wait for them.</param>
internal readonly record struct BatchSettings(int Tokens, TimeSpan Delay)
{
    public const int MaxTokens = 64;

    public const int MaxDelayMs = 1000;

    /// <summary>By the request, else by the key, else by the configuration.</summary>
    public static BatchSettings Of(GatewayCall call, StreamConfig options) => new(
        call.Facts.Extension.BatchTokens ?? call.Caller.BatchTokens ?? options.BatchTokens,
        call.Facts.Extension.BatchDelay ?? call.Caller.BatchDelay ?? options.BatchDelay);
}

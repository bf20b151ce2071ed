using System.Threading.Tasks.Sources;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Delivery;

/// <summary>
/// Reads a source in larger pieces: up to so many tokens per piece, none held longer than the delay. The first content is passed on at
/// once, and so is everything while the model is slower than the delay, when waiting gains nothing. A source that buffers is not read until
/// a piece should be there, so that one read returns all of it; any other source is read while the piece is held. One reader; disposed
/// before its source.
/// </summary>
internal sealed class BatchedEvents : IEventSource, IValueTaskSource
{
    /// <summary>A long pause must not count as the model's pace: a gap counts as at most so many delays.</summary>
    private const int LongestGap = 4;

    /// <summary>Maximum tokens for which a source is not read: what one read can return, so that it does not fall behind.</summary>
    private const int MaxAhead = 8;

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

    /// <param name="source">The source.</param>
    /// <param name="dialect">The caller's dialect, which knows the shape of native events.</param>
    /// <param name="settings">How much is joined.</param>
    /// <param name="time">Clock of the delay.</param>
    /// <param name="cancellation">Stops a pending read when the rest is no longer needed.</param>
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

    /// <summary>How much of a call's stream is joined: by the request, else by the key, else by the configuration.</summary>
    public static BatchSettings SettingsOf(GatewayCall call, StreamConfig options) => new(
        call.Facts.Extension.BatchTokens ?? call.Caller.BatchTokens ?? options.BatchTokens,
        call.Facts.Extension.BatchDelay ?? call.Caller.BatchDelay ?? options.BatchDelay);

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

    /// <summary>
    /// Returns what was held when reading stopped, after <see cref="StopAsync"/>: it was generated, and is charged. False when there was
    /// nothing.
    /// </summary>
    public bool TakeHeld(EventBatch batch)
    {
        if (_merger.IsEmpty) return false;
        Flush(batch);
        return true;
    }

    /// <summary>Stops a pending read. A source must not be disposed while it is read.</summary>
    public async ValueTask StopAsync()
    {
        if (_reading is not { } reading) return;
        if (!reading.IsCompleted) _cancellation.Stop();
        await ((Task)reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _reading = null;
        _ended = true;
        // The read may have returned something that is no longer needed.
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

    /// <summary>Adds the result of a read; true when it is passed on now.</summary>
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
        // Events before the first content are as urgent as the first content.
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

    /// <summary>How long the oldest held event has waited by now.</summary>
    private TimeSpan Collected => _collectingSince is { } since ? _time.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>How long the source is not read; null for one that must be read continuously, and while the model is slow.</summary>
    private TimeSpan? Rest()
    {
        if (_slow || _pace is not { } pace || !_source.BuffersAhead) return null;
        var rest = pace * Math.Min(_tokens, MaxAhead);
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
        if (_timer is null)
            _timer = _time.CreateTimer(static state => ((BatchedEvents)state!).OnDue(), this, due, Timeout.InfiniteTimeSpan);
        else _timer.Change(due, Timeout.InfiniteTimeSpan);
    }

    // A late timer of an earlier deadline sends a piece a little early, which is harmless.
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
        // Both may have happened before anyone waited; the one that takes the flag ends the wait.
        if ((_reading!.IsCompleted || _due) && Interlocked.Exchange(ref _waiting, 0) == 1) return default;
        return new ValueTask(this, _signal.Version);
    }

    private void Release()
    {
        if (Interlocked.Exchange(ref _waiting, 0) == 1) _signal.SetResult(true);
    }
}

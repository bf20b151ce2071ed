namespace Fairlead.Scheduling.Quotas;

/// <summary>The rate limits of one key of a provider at one deployment. Not thread-safe.</summary>
internal sealed class KeyQuota
{
    /// <summary>More sent calls are not remembered; the oldest count as reported.</summary>
    private const int MaxPending = 4096;

    private readonly Queue<(long Number, long At, double Tokens)> _pending = new();

    // Numbers of those in the queue that were not sent after all.
    private readonly HashSet<long> _notSent = [];
    private QuotaMeter _requests;
    private QuotaMeter _tokens;
    private QuotaMeter _input;
    private QuotaMeter _output;
    private double _pendingTokens;
    private long _lastNumber;
    private long _blockedUntil = long.MinValue;
    private long _source = long.MinValue;

    /// <summary>The first timestamp at which a call may be sent.</summary>
    public long AllowsAt(double tokens, long now)
    {
        var at = Math.Max(now, _blockedUntil);
        at = Math.Max(at, _requests.AllowsAt(1, Pending, now));
        at = Math.Max(at, _tokens.AllowsAt(tokens, _pendingTokens, now));
        at = Math.Max(at, _input.AllowsAt(tokens, _pendingTokens, now));
        // The provider counts output as it is generated, so only an empty limit stops a call.
        return Math.Max(at, _output.AllowsAt(1, 0, now));
    }

    /// <summary>Counts a call that is sent now, until a report includes it.</summary>
    /// <returns>Its number; 0 if it is not counted, because no limit is known.</returns>
    public long Sent(double tokens, long now)
    {
        if (!_requests.IsLive(now) && !_tokens.IsLive(now) && !_input.IsLive(now))
        {
            _pending.Clear();
            _notSent.Clear();
            _pendingTokens = 0;
            return 0;
        }
        if (_pending.Count >= MaxPending) Forget();
        _pending.Enqueue((++_lastNumber, now, tokens));
        _pendingTokens += tokens;
        return _lastNumber;
    }

    /// <summary>Takes back a call that was counted by <see cref="Sent"/>. Does nothing if it counts no more.</summary>
    public void NotSent(in QuotaReservation reservation)
    {
        // The numbers in the queue have no gaps.
        if (!_pending.TryPeek(out var oldest) || reservation.Number < oldest.Number) return;
        if (_notSent.Add(reservation.Number)) _pendingTokens -= reservation.Tokens;
    }

    /// <summary>Takes over what a response reports.</summary>
    /// <param name="reported">The limits.</param>
    /// <param name="startedAt">Timestamp of the start of its attempt. What was sent until then is in the report.</param>
    /// <param name="now">The present.</param>
    /// <param name="toTimestamps">Converts a duration.</param>
    public void Report(in ReportedLimits reported, long startedAt, long now, Func<TimeSpan, long> toTimestamps)
    {
        if (reported.RetryAfter is { } wait) _blockedUntil = Math.Max(_blockedUntil, now + toTimestamps(wait));
        // Responses arrive in any order; that of the attempt which started last is the newest.
        if (startedAt < _source) return;
        var isReported = Set(ref _requests, reported.Requests, now, toTimestamps);
        isReported |= Set(ref _tokens, reported.Tokens, now, toTimestamps);
        isReported |= Set(ref _input, reported.InputTokens, now, toTimestamps);
        isReported |= Set(ref _output, reported.OutputTokens, now, toTimestamps);
        if (!isReported) return;
        _source = startedAt;
        while (_pending.TryPeek(out var sent) && sent.At <= startedAt) Forget();
    }

    /// <summary>What is left: requests, and the smallest of the tokens; null where nothing is known.</summary>
    public (double? Requests, double? Tokens) LeftAt(long now)
    {
        double? tokens = null;
        foreach (var meter in (ReadOnlySpan<QuotaMeter>)[_tokens, _input, _output])
        {
            if (meter.LeftAt(now) is { } left && !(left >= tokens)) tokens = left;
        }
        return (Rest(_requests.LeftAt(now), Pending), Rest(tokens, _pendingTokens));
    }

    private static double? Rest(double? left, double pending) => left is { } some ? Math.Max(0, some - pending) : null;

    private static bool Set(ref QuotaMeter meter, ReportedLimit? reported, long now, Func<TimeSpan, long> toTimestamps)
    {
        if (reported is not { } limit) return false;
        meter.Set(limit, now, now + toTimestamps(limit.Reset ?? ProviderQuota.DefaultReset));
        return true;
    }

    private int Pending => _pending.Count - _notSent.Count;

    private void Forget()
    {
        var forgotten = _pending.Dequeue();
        if (!_notSent.Remove(forgotten.Number)) _pendingTokens -= forgotten.Tokens;
    }
}

namespace Fairlead.Scheduling.Quotas;

/// <summary>
/// What a provider says about its own rate limits at one deployment, for each of its keys. Calls that a limit has no room for are not sent,
/// so that the provider need not refuse them. Until a response has such headers, it does nothing. Thread-safe.
/// </summary>
internal sealed class ProviderQuota(TimeProvider time)
{
    /// <summary>Assumed where a limit is used up and no reset is reported.</summary>
    public static readonly TimeSpan DefaultReset = TimeSpan.FromSeconds(1);

    /// <summary>
    /// After this time a call is sent in any case, so that a wrong header does not take a deployment out of service for long.
    /// </summary>
    public static readonly TimeSpan MaxHold = TimeSpan.FromMinutes(10);

    // For a provider without keys.
    private static readonly int[] NoKeys = [0];

    private readonly Lock _gate = new();
    private readonly Dictionary<int, KeyQuota> _keys = [];
    private volatile bool _isActive;
    private int _next;

    /// <summary>Called without a lock after a report.</summary>
    public Action? Reported { get; init; }

    /// <summary>Whether any response reported limits.</summary>
    public bool IsActive => _isActive;

    /// <summary>Chooses a key that has room for a call and counts the call; false if none has.</summary>
    /// <param name="keys">Ids of the provider's keys; empty if it needs none.</param>
    /// <param name="tokens">Input tokens of the call.</param>
    /// <param name="reservation">The key, and how the call was counted.</param>
    public bool TryReserve(int[] keys, double tokens, out QuotaReservation reservation)
    {
        if (keys.Length == 0) keys = NoKeys;
        var now = time.GetTimestamp();
        lock (_gate)
        {
            _next = (_next + 1) % keys.Length;
            for (var i = 0; i < keys.Length; i++)
            {
                var key = keys[(_next + i) % keys.Length];
                reservation = new QuotaReservation(key, 0, tokens);
                if (!_keys.TryGetValue(key, out var quota)) return true;
                if (quota.AllowsAt(tokens, now) > now) continue;
                reservation = reservation with { Number = quota.Sent(tokens, now) };
                return true;
            }
        }
        reservation = default;
        return false;
    }

    /// <summary>Takes back a call that was counted by <see cref="TryReserve"/> but not sent.</summary>
    /// <param name="reservation">How it was counted.</param>
    public void Return(in QuotaReservation reservation)
    {
        if (reservation.Number == 0) return;
        lock (_gate)
        {
            if (_keys.TryGetValue(reservation.Key, out var quota)) quota.NotSent(reservation);
        }
    }

    /// <summary>The wait until a key has room for a call, if nothing else is sent; zero if one has.</summary>
    public TimeSpan WaitFor(int[] keys, double tokens)
    {
        if (!_isActive) return TimeSpan.Zero;
        if (keys.Length == 0) keys = NoKeys;
        var now = time.GetTimestamp();
        var first = long.MaxValue;
        lock (_gate)
        {
            foreach (var key in keys)
            {
                if (!_keys.TryGetValue(key, out var quota)) return TimeSpan.Zero;
                first = Math.Min(first, quota.AllowsAt(tokens, now));
            }
        }
        return first <= now ? TimeSpan.Zero : time.GetElapsedTime(now, first) + TimeSpan.FromTicks(1);
    }

    /// <summary>Takes over what a response reports.</summary>
    /// <param name="key">Id of the key with which it was sent; 0 for none.</param>
    /// <param name="startedAt">Timestamp of the start of its attempt.</param>
    /// <param name="limits">The limits.</param>
    public void Report(int key, long startedAt, in ReportedLimits limits)
    {
        if (limits.IsEmpty) return;
        lock (_gate)
        {
            if (!_keys.TryGetValue(key, out var quota)) _keys[key] = quota = new KeyQuota();
            quota.Report(limits, startedAt, time.GetTimestamp(), ToTimestamps);
            _isActive = true;
        }
        Reported?.Invoke();
    }

    /// <summary>What is left of all keys together; null where a key has not reported it.</summary>
    public (double? Requests, double? Tokens) Left(int[] keys)
    {
        if (!_isActive) return default;
        if (keys.Length == 0) keys = NoKeys;
        var now = time.GetTimestamp();
        double? requests = 0, tokens = 0;
        lock (_gate)
        {
            foreach (var key in keys)
            {
                var left = _keys.TryGetValue(key, out var quota) ? quota.LeftAt(now) : default;
                requests += left.Requests;
                tokens += left.Tokens;
            }
        }
        return (requests, tokens);
    }

    private long ToTimestamps(TimeSpan span) =>
        (long)Math.Ceiling((span < MaxHold ? span : MaxHold).TotalSeconds * time.TimestampFrequency);
}

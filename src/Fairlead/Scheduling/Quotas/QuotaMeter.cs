namespace Fairlead.Scheduling.Quotas;

/// <summary>
/// What is left of one rate limit of a provider, between two reports. A limit refills evenly until its reset, at which it is full. If the
/// provider does not report the whole, nothing refills before the reset. Not thread-safe.
/// </summary>
internal struct QuotaMeter
{
    private double _remaining;
    private double _limit;
    private long _at;
    private long _resetAt;

    /// <summary>Whether the report still holds.</summary>
    public readonly bool IsLive(long now) => now < _resetAt;

    public void Set(in ReportedLimit reported, long now, long resetAt)
    {
        _remaining = reported.Remaining;
        _limit = reported.Limit ?? 0;
        _at = now;
        _resetAt = resetAt;
    }

    /// <summary>What is left now; null after the reset, when it is unknown.</summary>
    public readonly double? LeftAt(long now) => !IsLive(now) ? null
        : _limit <= _remaining ? _remaining
        : _remaining + ((_limit - _remaining) * (now - _at) / (_resetAt - _at));

    /// <summary>The first timestamp at which <paramref name="need"/> is left, if nothing else is sent.</summary>
    /// <param name="need">What a call takes. More than the whole counts as the whole: the provider decides then.</param>
    /// <param name="pending">What was sent after the report.</param>
    /// <param name="now">The present.</param>
    public readonly long AllowsAt(double need, double pending, long now)
    {
        if (!IsLive(now)) return now;
        var wanted = pending + (_limit > 0 ? Math.Min(need, _limit) : need);
        if (LeftAt(now) >= wanted) return now;
        if (_limit <= _remaining || wanted > _limit) return _resetAt;
        return Math.Min(_resetAt, _at + (long)Math.Ceiling((wanted - _remaining) / (_limit - _remaining) * (_resetAt - _at)));
    }
}

using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>
/// A bucket that refills continuously. Any t minutes admit at most capacity + rate × t, where capacity = burst × rate of one minute. Usage
/// above what was reserved becomes debt: the bucket goes below empty, and no call passes until it has refilled.
/// </summary>
/// <remarks>
/// It stores what is missing until it is full, in amounts × timestamps of a minute. All arithmetic is exact, so a call that waits exactly
/// <see cref="WaitFor"/> passes if nobody else does. Time never runs backwards here.
/// </remarks>
internal sealed class RateBucket(LimitIdentity identity, LimitClock clock) : LimitCounter(identity)
{
    private readonly long _minute = clock.PerMinute;
    private long _perMinute;
    private decimal _burst = 1;
    private Int128 _missing;
    private Int128 _full;
    private Int128 _near;
    private long _at = long.MinValue;
    private long _reserved;

    /// <summary>The amount that fits.</summary>
    public long Capacity { get; private set; }

    protected override long Base => CapacityOf(_perMinute);

    /// <summary>Sets the limit in force. What was used is kept.</summary>
    public void Apply(long perMinute, decimal burst, long now, ElasticRange? elastic = null)
    {
        SetElastic(elastic);
        (_perMinute, _burst) = (perMinute, burst);
        Scaled(now);
    }

    protected override void Scaled(long now)
    {
        // What has refilled until now has refilled at the old rate.
        Refill(now);
        Limit = Scale(_perMinute);
        Capacity = CapacityOf(Limit);
        _full = (Int128)Capacity * _minute;
        _near = _full - (_full / 5);
    }

    private long CapacityOf(long perMinute) => Math.Max(1, (long)Math.Min(perMinute * _burst, long.MaxValue / 2));

    // A call that fits into the declared limit can pass a shrunk one when that is full. What is above it is debt.
    private long AtOnce(long amount) => amount > Capacity && amount <= Base ? Capacity : amount;

    /// <summary>Whether an amount is there now. An amount of 0 always is.</summary>
    public bool CanTake(long amount, long now)
    {
        if (amount == 0) return true;
        Refill(now);
        return _missing + ((Int128)AtOnce(amount) * _minute) <= _full;
    }

    /// <summary>Reserves an amount. Call <see cref="CanTake"/> first.</summary>
    public void Take(long amount)
    {
        _missing += (Int128)amount * _minute;
        _reserved += amount;
    }

    /// <summary>Replaces a reserved amount by what was used.</summary>
    public void Settle(long reserved, long used, long now)
    {
        Refill(now);
        _reserved -= reserved;
        _missing += (Int128)(used - reserved) * _minute;
        if (_missing < 0) _missing = 0;
    }

    /// <summary>The time until an amount is there; null if it is more than the capacity.</summary>
    public TimeSpan? WaitFor(long amount, long now)
    {
        amount = AtOnce(amount);
        if (amount > Capacity) return null;
        Refill(now);
        var excess = _missing + ((Int128)amount * _minute) - _full;
        return excess <= 0 ? TimeSpan.Zero : clock.ToSpan((excess + Limit - 1) / Limit);
    }

    public override bool IsNear(LimitMoment now) => _missing >= _near;

    public override bool IsAtRest(LimitMoment now)
    {
        Refill(now.Timestamp);
        return _missing == 0 && _reserved == 0;
    }

    public override LimitState StateAt(LimitMoment now)
    {
        Refill(now.Timestamp);
        var taken = Whole((_missing + _minute - 1) / _minute);
        var remaining = _missing >= _full ? 0 : Whole((_full - _missing) / _minute);
        var window = (long)((((Int128)Capacity * 60) + Limit - 1) / Limit);
        return State(Capacity, taken - _reserved, _reserved, remaining, Math.Max(1, window),
            now.Utc + clock.ToSpan((_missing + Limit - 1) / Limit));
    }

    private static long Whole(Int128 amount) => amount > long.MaxValue ? long.MaxValue : (long)amount;

    private void Refill(long now)
    {
        if (now <= _at) return;
        if (_missing != 0)
        {
            var refilled = (Int128)Limit * (now - _at);
            _missing = refilled >= _missing ? 0 : _missing - refilled;
        }
        _at = now;
    }
}

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
    private const long MicrosecondsOfMinute = 60_000_000;

    private readonly long _minute = clock.PerMinute;
    private long _perMinute;
    private long _scaled;
    private decimal _burst = 1;
    private Int128 _missing;
    private Int128 _full;
    private Int128 _near;
    private long _at = long.MinValue;
    private long _reserved;
    private int _nodes = 1;
    private bool _decidesAlone;
    private long _shown;

    /// <summary>The amount that fits.</summary>
    public long Capacity { get; private set; }

    protected override long Base => CapacityOf(_perMinute, 1);

    protected override long MemoryOfCalls => _minute / 6;

    /// <summary>The rate at which it refills on all nodes together, also while this node has only its share.</summary>
    public long WholeLimit { get; private set; }

    /// <summary>The capacity of all nodes together, also while this node has only its share.</summary>
    public long WholeCapacity { get; private set; }

    /// <summary>
    /// What was used, and the store of all nodes neither knows nor is being told. Negative if less was used than it was told.
    /// </summary>
    public long Unreported { get; set; }

    /// <summary>What the store of all nodes is being told, 0 or more: sent perhaps, and not confirmed.</summary>
    public long Reporting { get; private set; }

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
        WholeLimit = Scale(_perMinute, RefillFactor);
        _scaled = Scale(_perMinute);
        Fit();
    }

    /// <summary>
    /// What must be there for an amount: a call that fits into the declared limit, or into that of all nodes, can pass a shrunk limit or the
    /// share of a node when that is full. What is above it is debt.
    /// </summary>
    public long NeedOf(long amount) => amount > Capacity && amount <= Math.Max(WholeCapacity, Base) ? Capacity : amount;

    /// <summary>The same at the store of all nodes.</summary>
    public long WholeNeedOf(long amount) => amount > WholeCapacity && amount <= Base ? WholeCapacity : amount;

    /// <summary>Whether an amount is there now. An amount of 0 always is.</summary>
    public bool CanTake(long amount, long now)
    {
        if (amount == 0) return true;
        Refill(now);
        return _missing + ((Int128)NeedOf(amount) * _minute) <= _full;
    }

    /// <summary>Reserves an amount. Call <see cref="CanTake"/> first.</summary>
    public void Take(long amount)
    {
        _missing += (Int128)amount * _minute;
        _reserved += amount;
        if (_decidesAlone) Unreported += amount;
    }

    /// <summary>Reserves an amount that the store of all nodes has taken. Call <see cref="Show"/> next.</summary>
    public void Hold(long amount) => _reserved += amount;

    /// <summary>Sets what is missing, as the store of all nodes knows it.</summary>
    /// <param name="missing">In amounts × microseconds of a minute.</param>
    /// <param name="sequence">Higher for what it knew later. What is older than what was set is ignored.</param>
    /// <param name="now">The present.</param>
    public void Show(Int128 missing, long sequence, long now)
    {
        if (sequence < _shown) return;
        _shown = sequence;
        _decidesAlone = false;
        if (_nodes != 1)
        {
            _nodes = 1;
            Fit();
        }
        _at = Math.Max(_at, now);
        // Rounded up. Both numbers are small enough: a timestamp is at least 0.1 ns.
        _missing = ((missing * _minute) + MicrosecondsOfMinute - 1) / MicrosecondsOfMinute;
        // It does not know that yet.
        _missing += (Int128)(Math.Max(0, Unreported) + Reporting) * _minute;
    }

    /// <summary>From now on this node decides alone and has a share of the bucket, and of what is missing.</summary>
    public void ShareOut(int nodes, long now)
    {
        _decidesAlone = true;
        if (_nodes == nodes) return;
        Refill(now);
        _missing = ((_missing * _nodes) + nodes - 1) / nodes;
        _nodes = nodes;
        Fit();
    }

    /// <summary>
    /// From now on the store of all nodes decides again. Until it is asked, what is missing here is thought to be missing everywhere.
    /// </summary>
    public void Unshare(long now)
    {
        _decidesAlone = false;
        if (_nodes == 1) return;
        Refill(now);
        _missing *= _nodes;
        _nodes = 1;
        Fit();
    }

    /// <summary>
    /// What to tell the store of all nodes, without what has refilled since; the same again until it is <see cref="Reported"/>. Never
    /// negative: the store may have lost what would be given back, and others used the bucket since.
    /// </summary>
    public long TakeUnreported(long now)
    {
        if (Reporting == 0) (Reporting, Unreported) = (Math.Max(0, Unreported), 0);
        if (Reporting == 0) return 0;
        Refill(now);
        Reporting = Math.Min(Reporting, Whole((_missing + _minute - 1) / _minute));
        // All of it has refilled, so the rest has too.
        if (Reporting == 0) Unreported = 0;
        return Reporting;
    }

    /// <summary>The store of all nodes has confirmed what <see cref="TakeUnreported"/> returned.</summary>
    public void Reported() => Reporting = 0;

    /// <summary>Replaces a reserved amount by what was used.</summary>
    /// <param name="reserved">What was reserved.</param>
    /// <param name="used">What was used.</param>
    /// <param name="now">Timestamp.</param>
    /// <param name="isTakenHere">
    /// False if the store of all nodes took it: the share of this node has only a part of it, so no more is given back to the share.
    /// </param>
    public void Settle(long reserved, long used, long now, bool isTakenHere = true)
    {
        Refill(now);
        _reserved -= reserved;
        var difference = (Int128)(used - reserved) * _minute;
        _missing += difference < 0 && !isTakenHere ? difference / _nodes : difference;
        if (_missing < 0) _missing = 0;
    }

    /// <summary>The time until an amount is there; null if it is more than the capacity.</summary>
    public TimeSpan? WaitFor(long amount, long now)
    {
        if (NeedOf(amount) > Capacity) return null;
        Refill(now);
        var excess = _missing + ((Int128)NeedOf(amount) * _minute) - _full;
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

    private void Fit()
    {
        Limit = Math.Max(1, WholeLimit / _nodes);
        WholeCapacity = CapacityOf(_scaled, 1);
        Capacity = CapacityOf(_scaled, _nodes);
        _full = (Int128)Capacity * _minute;
        _near = _full - (_full / 5);
    }

    private long CapacityOf(long perMinute, int nodes) => Math.Max(1, (long)Math.Min(perMinute * _burst / nodes, long.MaxValue / 2));

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

using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>Generations that run at the same time.</summary>
internal sealed class ConcurrencyCounter(LimitIdentity identity, LimitClock clock) : LimitCounter(identity)
{
    private static readonly TimeSpan MinWait = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(60);

    private long _declared;
    private long _held;
    private double _averageHold;

    public bool CanTake => _held < Limit;

    protected override long Base => _declared;

    public void Apply(long limit, ElasticRange? elastic = null)
    {
        SetElastic(elastic);
        _declared = limit;
        Limit = Scale(limit);
    }

    protected override void Scaled(long now) => Limit = Scale(_declared);

    public void Take() => _held++;

    /// <summary>Releases what no generation used.</summary>
    public void Return() => _held--;

    /// <param name="duration">Timestamps for which it was held.</param>
    public void Release(long duration)
    {
        _held--;
        _averageHold = _averageHold == 0 ? duration : (_averageHold * 0.9) + (duration * 0.1);
    }

    /// <summary>When one of the calls that run will probably end: their average duration divided by their number. 1 s if unknown.</summary>
    public TimeSpan EstimateWait()
    {
        if (_averageHold <= 0) return TimeSpan.FromSeconds(1);
        var wait = clock.ToSpan((Int128)(_averageHold / Math.Max(1, _held)));
        return wait < MinWait ? MinWait : wait > MaxWait ? MaxWait : wait;
    }

    public override bool IsNear(LimitMoment now) => _held >= Limit - (Limit / 5);

    public override bool IsAtRest(LimitMoment now) => _held == 0;

    public override LimitState StateAt(LimitMoment now) => State(Limit, 0, _held, Limit - _held, null, null);
}

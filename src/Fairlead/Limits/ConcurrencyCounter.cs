using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>Generations that run at the same time.</summary>
internal sealed class ConcurrencyCounter(LimitIdentity identity, LimitClock clock) : LimitCounter(identity)
{
    private static readonly TimeSpan MinWait = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(60);

    private long _declared;
    private long _held;
    private long _heldElsewhere;
    private int _nodes = 1;
    private long _shown;
    private double _averageHold;

    /// <summary>The limit of all nodes together, also while this node has only its share.</summary>
    public long WholeLimit { get; private set; }

    public bool CanTake => Held < Limit;

    private long Held => Math.Max(0, _held + _heldElsewhere);

    protected override long Base => _declared;

    public void Apply(long limit, ElasticRange? elastic = null)
    {
        SetElastic(elastic);
        _declared = limit;
        Scaled(0);
    }

    protected override void Scaled(long now)
    {
        WholeLimit = Scale(_declared);
        Fit();
    }

    /// <summary>Sets how many run on all nodes, as their store knows it.</summary>
    /// <param name="held">The calls of all nodes.</param>
    /// <param name="sequence">Higher for what it knew later. What is older than what was set is ignored.</param>
    /// <param name="isNewCall">Whether one of them was just taken here.</param>
    public void Show(long held, long sequence, bool isNewCall)
    {
        if (sequence < _shown)
        {
            // The later number had it already, as a call from elsewhere.
            if (isNewCall) _heldElsewhere--;
            return;
        }
        _shown = sequence;
        // Negative if the store has forgotten calls of this node, and has not been told of them again.
        _heldElsewhere = held - _held;
        if (_nodes == 1) return;
        _nodes = 1;
        Fit();
    }

    /// <summary>From now on this node decides alone and has a share of the limit, 1 or more.</summary>
    public void ShareOut(int nodes)
    {
        _heldElsewhere = 0;
        _nodes = nodes;
        Fit();
    }

    /// <summary>From now on the store of all nodes decides again.</summary>
    public void Unshare()
    {
        if (_nodes == 1) return;
        _nodes = 1;
        Fit();
    }

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
        var wait = clock.ToSpan((Int128)(_averageHold / Math.Max(1, Held)));
        return wait < MinWait ? MinWait : wait > MaxWait ? MaxWait : wait;
    }

    public override bool IsNear(LimitMoment now) => Held >= Limit - (Limit / 5);

    public override bool IsAtRest(LimitMoment now) => _held == 0;

    public override LimitState StateAt(LimitMoment now) => State(Limit, 0, Held, Limit - Held, null, null);

    private void Fit() => Limit = Math.Max(1, WholeLimit / _nodes);
}

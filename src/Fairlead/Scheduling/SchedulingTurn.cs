namespace Fairlead.Scheduling;

/// <summary>What scheduling knows of a call that had to wait. Belongs to the flow of its call.</summary>
internal sealed class SchedulingTurn
{
    private List<SchedulingCharge> _charges = [];
    private QueuedCall? _kept;

    /// <summary>Time that the call has waited so far, in all its waits.</summary>
    public TimeSpan Waited { get; set; }

    /// <summary>Its last wait; null for none.</summary>
    public QueuedCall? LastWait { get; set; }

    /// <summary>
    /// Its last wait ended without use, because a deployment was closed at that moment: if it waits next, it has the same place.
    /// </summary>
    public void KeepPlace() => _kept = LastWait;

    /// <summary>The wait whose place the next one has; null for none. Once.</summary>
    public QueuedCall? TakePlace()
    {
        var kept = _kept;
        _kept = null;
        return kept;
    }

    /// <summary>Notes a wait that was charged to the organization.</summary>
    public void Add(SchedulingCharge charge) => _charges.Add(charge);

    /// <summary>Removes and returns what was charged, in order.</summary>
    public IReadOnlyList<SchedulingCharge> TakeCharges()
    {
        var charges = _charges;
        _charges = [];
        return charges;
    }
}

/// <summary>One charge for a slot.</summary>
/// <param name="Wait">The wait that ended with the slot.</param>
/// <param name="FirstAttempt">Number of the attempt for which the call waited.</param>
internal readonly record struct SchedulingCharge(QueuedCall Wait, int FirstAttempt);

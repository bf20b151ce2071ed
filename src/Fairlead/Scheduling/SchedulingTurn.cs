namespace Fairlead.Scheduling;

/// <summary>What scheduling knows of a call that had to wait. Belongs to the flow of its call.</summary>
internal sealed class SchedulingTurn
{
    /// <summary>Time that the call has waited so far, in all its waits.</summary>
    public TimeSpan Waited { get; set; }

    /// <summary>The wait that was charged to the organization; null for none.</summary>
    public QueuedCall? Charged { get; set; }
}

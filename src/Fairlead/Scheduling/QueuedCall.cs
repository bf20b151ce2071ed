using Fairlead.Scheduling.Quotas;

namespace Fairlead.Scheduling;

/// <summary>Where a call is on its way through the queue.</summary>
internal enum QueueState
{
    /// <summary>It waits, or has not entered yet.</summary>
    Waiting,

    /// <summary>It has a slot, which must be returned.</summary>
    Granted,

    /// <summary>It has no slot: see <see cref="QueuedCall.Refusal"/>.</summary>
    Refused,

    /// <summary>It left by itself.</summary>
    Left,
}

/// <summary>Why a call was not queued, or lost its place.</summary>
internal enum QueueRefusal
{
    None,

    /// <summary>The queue of its class is full, and its organization has the largest share of it.</summary>
    Full,

    /// <summary>The expected wait ends after its deadline.</summary>
    Deadline,

    /// <summary>It is a run of a job, and as many runs wait as may.</summary>
    NoPlace,

    /// <summary>All its deployments were closed: no call goes there.</summary>
    Closed,
}

/// <summary>
/// One call in the queue of its model. Only <see cref="DeploymentSlots"/> changes it, under its lock. It ends once, as granted, refused or
/// left.
/// </summary>
internal class QueuedCall
{
    public QueuedCall() => Node = new LinkedListNode<QueuedCall>(this);

    public required string Organization { get; init; }

    /// <summary>Share of the organization, above 0.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>Rank of its class: 0 realtime, 1 standard, 2 bulk.</summary>
    public int Class { get; init; } = 1;

    /// <summary>Estimate of its input tokens, 0 or more.</summary>
    public double InputTokens { get; init; }

    /// <summary>Maximum output tokens; null for no maximum.</summary>
    public double? MaxOutputTokens { get; init; }

    /// <summary>It had a slot before (retry, failover, repair): it goes to the head and is never refused.</summary>
    public bool IsReturning { get; init; }

    /// <summary>An earlier wait whose place it has, because that gave it nothing; null for a place at the end.</summary>
    public QueuedCall? Earlier { get; init; }

    /// <summary>Workers of the node if it is the run of a job, which waits on one of them; 0 for other calls.</summary>
    public int Workers { get; init; }

    /// <summary>Whether it is the run of a job, which the maximum of its class does not limit.</summary>
    public bool IsRun => Workers > 0;

    /// <summary>How long it has waited before, in earlier runs. Counts for ageing.</summary>
    public TimeSpan WaitedBefore { get; init; }

    /// <summary>Time left until its deadline; null for none.</summary>
    public TimeSpan? TimeLeft { get; init; }

    public QueueState State { get; internal set; }

    public QueueRefusal Refusal { get; internal set; }

    /// <summary>The deployment whose slot it got; null without one.</summary>
    public string? Deployment { get; internal set; }

    /// <summary>What was taken of the provider's own limits for it.</summary>
    public QuotaReservation Reservation { get; internal set; }

    /// <summary>What was expected when it was refused; null if nothing is known.</summary>
    public TimeSpan? ExpectedWait { get; internal set; }

    /// <summary>Calls of its model and class that waited when it was refused.</summary>
    public int Queued { get; internal set; }

    /// <summary>Number in the order of arrival at the queue.</summary>
    internal long Sequence { get; set; }

    /// <summary>Timestamp from which its wait counts for ageing.</summary>
    internal long EnteredAt { get; set; }

    internal QueueLane Lane { get; set; } = null!;

    internal LinkedListNode<QueuedCall> Node { get; }

    /// <summary>The account that pays for it; only for the round that looks at it, and after it was charged.</summary>
    internal TokenAccount? Account { get; set; }

    /// <summary>Weighted tokens charged to the account, not divided by the weight of the organization.</summary>
    internal double Charged { get; set; }

    /// <summary>Next in the list of calls that ended in the same operation.</summary>
    internal QueuedCall? NextEnded { get; set; }

    /// <summary>Called once without any lock, after the call was granted or refused.</summary>
    public virtual void Ended()
    {
    }
}

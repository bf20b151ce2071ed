using Fairlead.Catalogue;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Scheduling.Quotas;

namespace Fairlead.Scheduling;

/// <summary>
/// The attempts at one deployment, and what is known of it. Counting is thread-safe and takes no lock; <see cref="Queue"/> is only used
/// under the lock of <see cref="DeploymentSlots"/>.
/// </summary>
/// <remarks>
/// A call that enters the queue counts itself as waiting and then looks for a slot; an attempt that ends returns its slot and then looks
/// for waiting calls. Both steps are interlocked, so one of the two sees the other.
/// </remarks>
internal sealed class DeploymentSlot
{
    private int _maximum;
    private volatile bool _isAdaptive;
    private int _taken;
    private int _waiting;
    private volatile Deployment _deployment;

    /// <param name="name">Name of the deployment.</param>
    /// <param name="number">Its number in the order in which deployments were first used.</param>
    /// <param name="deployment">As the first call that used it knows it; <see cref="SetLimits"/> replaces its limits.</param>
    /// <param name="time">The clock.</param>
    /// <param name="quotaReported">Called after the provider reported its own limits.</param>
    public DeploymentSlot(string name, int number, Deployment deployment, TimeProvider time, Action<DeploymentSlot> quotaReported)
    {
        (Name, Number, _deployment) = (name, number, deployment);
        SetLimits(deployment.MaxConcurrency, deployment.IsAdaptive);
        Learned = new LearnedLimit(time);
        Quota = new ProviderQuota(time) { Reported = () => quotaReported(this) };
    }

    public string Name { get; }

    /// <summary>Orders the deployments of a lane.</summary>
    public int Number { get; }

    public FairQueue Queue { get; } = new();

    public LearnedLimit Learned { get; }

    public ProviderQuota Quota { get; }

    /// <summary>
    /// Attempts at once that are in force now, for all models and whichever catalogue a call has: the smaller of <c>maxConcurrency</c> and
    /// the learned limit; <see cref="LearnedLimit.None"/> without any. The only place that decides it.
    /// </summary>
    public int Limit => Math.Min(Volatile.Read(ref _maximum), _isAdaptive ? Learned.InForce : LearnedLimit.None);

    /// <summary>Whether the learned limit is below <c>maxConcurrency</c>.</summary>
    public bool IsBelowMaximum => Limit < Volatile.Read(ref _maximum);

    /// <summary>Whether the learned limit applies.</summary>
    public bool IsAdaptive => _isAdaptive;

    /// <summary>Whether a slot is free.</summary>
    public bool HasRoom => Taken < Limit;

    public DeploymentStatistics Statistics { get; } = new();

    /// <summary>Serves waiting calls when the provider's limits have room again; only under the lock of the queues.</summary>
    public ITimer? Wake { get; set; }

    /// <summary>The deployment as the newest call or catalogue knows it.</summary>
    public Deployment Deployment
    {
        get => _deployment;
        set
        {
            if (!ReferenceEquals(_deployment, value)) _deployment = value;
        }
    }

    /// <summary>Ids of the keys with which its provider may be called now.</summary>
    public int[] Keys => _deployment.UsableKeyIds;

    public int Taken => Volatile.Read(ref _taken);

    public bool HasWaiting => Volatile.Read(ref _waiting) > 0;

    /// <summary>Mean time that an attempt holds its slot, weighted to the recent ones, in seconds; 0 if none has ended.</summary>
    public double HoldSeconds => Statistics.HoldSeconds;

    /// <summary>Sets <c>maxConcurrency</c>, null for none, and whether the learned limit applies. Attempts that run continue.</summary>
    public void SetLimits(int? maximum, bool isAdaptive)
    {
        Volatile.Write(ref _maximum, maximum ?? LearnedLimit.None);
        _isAdaptive = isAdaptive;
    }

    /// <summary>Takes a slot if one is free and nobody waits for it.</summary>
    public bool TryTake() => !HasWaiting && TryTakeForWaiting();

    /// <summary>Takes a slot for a call that waits.</summary>
    public bool TryTakeForWaiting()
    {
        for (var taken = Volatile.Read(ref _taken); taken < Limit;)
        {
            var before = Interlocked.CompareExchange(ref _taken, taken + 1, taken);
            if (before == taken)
            {
                Learned.Seen(taken + 1);
                return true;
            }
            taken = before;
        }
        return false;
    }

    /// <summary>Returns a slot. True if a call waits, which must then be served.</summary>
    public bool GiveBack()
    {
        Interlocked.Decrement(ref _taken);
        return HasWaiting;
    }

    /// <summary>Counts a waiting call. From now on, no other call takes a slot directly.</summary>
    public void AddWaiting(int count) => Interlocked.Add(ref _waiting, count);
}

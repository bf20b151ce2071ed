using System.Collections.Concurrent;
using Fairlead.Catalogue;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Scheduling.Quotas;

namespace Fairlead.Scheduling;

/// <summary>
/// Counts the attempts at each deployment against its limit. Calls that find none free wait in <see cref="DeploymentQueues"/>, which only
/// this type uses. Deployments are identified by name, so that the count survives a reload and is shared by all models that list the same
/// deployment. Thread-safe.
/// </summary>
/// <remarks>
/// The limit in force is <see cref="DeploymentSlot.Limit"/>, for calls with an older catalogue too. Attempts at a deployment without a
/// limit are counted as well, because a reload may give it one.
/// <para/>
/// A call that finds a slot takes no lock.
/// </remarks>
internal sealed class DeploymentSlots
{
    private readonly ConcurrentDictionary<string, DeploymentSlot> _slots = new(StringComparer.Ordinal);
    private readonly DeploymentQueues _queues;
    private readonly TimeProvider _time;
    private int _numbers;

    /// <param name="time">The clock.</param>
    public DeploymentSlots(TimeProvider time)
    {
        _time = time;
        _queues = new DeploymentQueues(SlotOf, time);
    }

    /// <summary>Which deployments are closed to calls; set once, before the first call. Default none.</summary>
    public IDeploymentAvailability? Availability
    {
        get => _queues.Availability;
        set => _queues.Availability = value;
    }

    /// <summary>A deployment was closed or opened: calls that wait for closed ones only are refused, those that have room are served.</summary>
    public void AvailabilityChanged(string deployment)
    {
        if (_slots.TryGetValue(deployment, out var slot)) _queues.AvailabilityChanged(slot);
    }

    /// <summary>Takes a slot, which must be returned, if one is free and no call waits for it.</summary>
    public bool TryTake(Deployment deployment) => TryTake(deployment, 0, out _);

    /// <summary>The same, if the provider's own limits also have room for the call.</summary>
    /// <param name="deployment">The deployment.</param>
    /// <param name="inputTokens">Input tokens of the call.</param>
    /// <param name="reservation">What was taken of the provider's own limits.</param>
    public bool TryTake(Deployment deployment, double inputTokens, out QuotaReservation reservation)
    {
        reservation = default;
        var slot = SlotOf(deployment);
        if (!slot.TryTake()) return false;
        if (!slot.Quota.IsActive) return true;
        slot.Deployment = deployment;
        if (slot.Quota.TryReserve(slot.Keys, inputTokens, out reservation)) return true;
        if (slot.GiveBack()) _queues.Serve(slot);
        return false;
    }

    /// <summary>Returns a slot. The best call that waits for it gets it.</summary>
    /// <param name="deployment">As the slot was taken.</param>
    /// <param name="held">How long it was held; null if it was not used.</param>
    public void GiveBack(Deployment deployment, TimeSpan? held = null) =>
        GiveBack(deployment, new AttemptSample(AttemptResult.Unknown, 0, held is { } span ? Math.Max(span.TotalSeconds, 1e-6) : 0));

    /// <summary>The same, and learns from the attempt that used it.</summary>
    public void GiveBack(Deployment deployment, in AttemptSample sample)
    {
        var slot = SlotOf(deployment);
        slot.Statistics.Add(sample);
        if (slot.IsAdaptive) slot.Learned.Add(sample, slot.Taken);
        if (slot.GiveBack()) _queues.Serve(slot);
    }

    /// <summary>Returns a slot that no attempt used, and what was taken for it of the provider's own limits.</summary>
    /// <param name="deployment">As the slot was taken.</param>
    /// <param name="reservation">What was taken of the provider's own limits.</param>
    public void GiveBackUnused(Deployment deployment, in QuotaReservation reservation)
    {
        SlotOf(deployment).Quota.Return(reservation);
        GiveBack(deployment);
    }

    /// <summary>What the provider reports about its own limits at a deployment.</summary>
    public ProviderQuota QuotaOf(Deployment deployment)
    {
        var slot = SlotOf(deployment);
        slot.Deployment = deployment;
        return slot.Quota;
    }

    /// <summary>The shortest wait for the provider's own limits at any of the deployments; zero if one has room.</summary>
    public TimeSpan QuotaWaitOf(IReadOnlyList<Deployment> deployments, double inputTokens)
    {
        var shortest = TimeSpan.MaxValue;
        foreach (var deployment in deployments)
        {
            var wait = QuotaOf(deployment).WaitFor(deployment.UsableKeyIds, inputTokens);
            if (wait < shortest) shortest = wait;
        }
        return shortest;
    }

    /// <summary>
    /// The same, of those at which a call that waits may get a slot now: a deployment is open, and a test of it is due, but only the
    /// provider's own limits have no room for that. Zero if there is none.
    /// </summary>
    public TimeSpan QuotaWaitOfTests(IReadOnlyList<Deployment> deployments, double inputTokens)
    {
        Deployment[] served = [.. deployments.Where(deployment => _queues.IsServed(deployment.Name))];
        return served.Length == 0 ? TimeSpan.Zero : QuotaWaitOf(served, inputTokens);
    }

    /// <summary>Moves the learned limits. To be called at least once in each <see cref="LearnedLimit.Window"/>.</summary>
    public void Learn()
    {
        foreach (var (_, slot) in _slots)
        {
            if (slot.Learned.Tick(slot.Taken) && slot.HasWaiting) _queues.Serve(slot);
        }
    }

    /// <inheritdoc cref="DeploymentQueues.Enter"/>
    public void Enter(QueuedCall call, string model, SchedulingConfig settings, IReadOnlyList<Deployment> deployments) =>
        _queues.Enter(call, model, settings, deployments);

    /// <inheritdoc cref="DeploymentQueues.Leave"/>
    public bool Leave(QueuedCall call) => _queues.Leave(call);

    /// <inheritdoc cref="DeploymentQueues.Settle"/>
    public void Settle(QueuedCall call, double inputTokens, double outputTokens) => _queues.Settle(call, inputTokens, outputTokens);

    /// <inheritdoc cref="DeploymentQueues.SettleFailed"/>
    public void SettleFailed(QueuedCall call, double inputTokens, double outputTokens) =>
        _queues.SettleFailed(call, inputTokens, outputTokens);

    /// <summary>
    /// Applies the limits of a catalogue, which replace those of the previous one, and serves the calls that have room now. A deployment
    /// that several models list has the lowest limit that any of them states. One that is no longer listed keeps its limit.
    /// </summary>
    /// <param name="deployments">All deployments of all models.</param>
    public void SetLimits(IEnumerable<Deployment> deployments)
    {
        foreach (var same in deployments.GroupBy(deployment => deployment.Name, StringComparer.Ordinal))
        {
            // Made now, so that a call with an older catalogue does not make it with an older limit.
            var slot = SlotOf(same.First());
            slot.SetLimits(same.Min(deployment => deployment.MaxConcurrency), same.Any(deployment => deployment.IsAdaptive));
            slot.Deployment = same.First();
            _queues.Serve(slot);
        }
    }

    /// <inheritdoc cref="DeploymentQueues.SetSettings"/>
    public void SetQueueSettings(Func<string, SchedulingConfig> settingsOf) => _queues.SetSettings(settingsOf);

    /// <inheritdoc cref="DeploymentQueues.ExpectedWaitOf"/>
    public TimeSpan? ExpectedWaitOf(QueuedCall call) => _queues.ExpectedWaitOf(call);

    /// <inheritdoc cref="DeploymentQueues.Lengths"/>
    public IReadOnlyList<(string Model, int Class, int Waiting)> Lengths() => _queues.Lengths();

    /// <inheritdoc cref="DeploymentQueues.WaitingFor"/>
    public int WaitingFor(string deployment) => _slots.TryGetValue(deployment, out var slot) ? _queues.WaitingFor(slot) : 0;

    /// <inheritdoc cref="DeploymentQueues.WaitingOf"/>
    public int WaitingOf(string model) => _queues.WaitingOf(model);

    /// <summary>The deployments that were used since the start of the process.</summary>
    public IEnumerable<DeploymentSlot> Used => _slots.Values;

    /// <summary>The deployment of this name, or null if it was not used yet.</summary>
    public DeploymentSlot? Find(string deployment) => _slots.GetValueOrDefault(deployment);

    /// <summary>Slots in use at a deployment.</summary>
    public int TakenAt(string deployment) => _slots.TryGetValue(deployment, out var slot) ? slot.Taken : 0;

    private DeploymentSlot SlotOf(Deployment deployment) =>
        _slots.TryGetValue(deployment.Name, out var slot) ? slot : _slots.GetOrAdd(deployment.Name, NewSlot, deployment);

    private DeploymentSlot NewSlot(string name, Deployment deployment) =>
        new(name, Interlocked.Increment(ref _numbers), deployment, _time, QuotaReported);

    private void QuotaReported(DeploymentSlot slot)
    {
        if (slot.HasWaiting) _queues.Serve(slot);
    }
}

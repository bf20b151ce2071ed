using System.Collections.Concurrent;
using Fairlead.Catalogue;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Scheduling.Quotas;

namespace Fairlead.Scheduling;

/// <summary>
/// Counts the attempts at each deployment against its limit, and holds the queues of the calls that wait for a slot or for the provider's
/// own limits. Deployments are identified by name, so that the count survives a reload and is shared by all models that list the same
/// deployment. Thread-safe.
/// </summary>
/// <remarks>
/// The limit in force is <see cref="DeploymentSlot.Limit"/>, for calls with an older catalogue too. Attempts at a deployment without a
/// limit are counted as well, because a reload may give it one.
/// <para/>
/// A call that finds a slot takes no lock. All queues share one lock, which is taken only while a call waits.
/// </remarks>
internal sealed class DeploymentSlots(TimeProvider time)
{
    private readonly ConcurrentDictionary<string, DeploymentSlot> _slots = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ModelQueue> _models = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private int _numbers;
    private long _sequence;

    /// <summary>Takes a slot, which must be returned, if one is free and no call waits for it.</summary>
    public bool TryTake(Deployment deployment) => TryTake(deployment, 0, out _);

    /// <summary>The same, if the provider's own limits also have room for the call.</summary>
    /// <param name="deployment">The deployment.</param>
    /// <param name="inputTokens">Input tokens of the call.</param>
    /// <param name="key">Id of the provider's key that has room; 0 for any.</param>
    public bool TryTake(Deployment deployment, double inputTokens, out int key)
    {
        key = 0;
        var slot = SlotOf(deployment);
        if (!slot.TryTake()) return false;
        if (!slot.Quota.IsActive) return true;
        slot.Keys = deployment.KeyIds;
        if (slot.Quota.TryReserve(slot.Keys, inputTokens, out key)) return true;
        if (slot.GiveBack()) Serve(slot);
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
        if (slot.GiveBack()) Serve(slot);
    }

    /// <summary>What the provider reports about its own limits at a deployment.</summary>
    public ProviderQuota QuotaOf(Deployment deployment)
    {
        var slot = SlotOf(deployment);
        slot.Keys = deployment.KeyIds;
        return slot.Quota;
    }

    /// <summary>The shortest wait for the provider's own limits at any of the deployments; zero if one has room.</summary>
    public TimeSpan QuotaWaitOf(IReadOnlyList<Deployment> deployments, double inputTokens)
    {
        var shortest = TimeSpan.MaxValue;
        foreach (var deployment in deployments)
        {
            var wait = QuotaOf(deployment).WaitFor(deployment.KeyIds, inputTokens);
            if (wait < shortest) shortest = wait;
        }
        return shortest;
    }

    /// <summary>Moves the learned limits. To be called at least once in each <see cref="LearnedLimit.Window"/>.</summary>
    public void Learn()
    {
        foreach (var (_, slot) in _slots)
        {
            if (slot.Learned.Tick(slot.Taken) && slot.HasWaiting) Serve(slot);
        }
    }

    /// <summary>
    /// Puts a call into the queue of its model, or gives it a slot at once if there is one. The call that is returned to its owner by
    /// <see cref="QueuedCall.Ended"/> may be another one: an organization that fills the queue loses its newest place to another.
    /// </summary>
    /// <param name="call">A new call.</param>
    /// <param name="model">Name of its model.</param>
    /// <param name="settings">Settings of the model's queue.</param>
    /// <param name="deployments">The deployments that may serve it, the preferred one first.</param>
    public void Enter(QueuedCall call, string model, SchedulingConfig settings, IReadOnlyList<Deployment> deployments)
    {
        QueuedCall? ended = null;
        lock (_gate)
        {
            var now = time.GetTimestamp();
            call.EnteredAt = now - (long)(call.WaitedBefore.TotalSeconds * time.TimestampFrequency);
            call.Sequence = ++_sequence;
            if (!_models.TryGetValue(model, out var queue)) _models[model] = queue = new ModelQueue(model);
            queue.Apply(settings, time);
            var lane = LaneOf(queue, deployments);
            lane.Add(call);
            queue.Count(call, 1);
            foreach (var slot in lane.Slots) slot.AddWaiting(1);
            for (var i = 0; i < deployments.Count && call.State == QueueState.Waiting; i++)
            {
                Dispatch(SlotOf(deployments[i]), now, ref ended);
            }
            if (call.State == QueueState.Waiting && !call.IsReturning) Check(call, queue, now, ref ended);
        }
        Notify(ended);
    }

    /// <summary>Takes a call out of the queue. False if it has ended already; if it has a slot, that must be returned.</summary>
    public bool Leave(QueuedCall call)
    {
        lock (_gate)
        {
            if (call.State != QueueState.Waiting) return false;
            call.State = QueueState.Left;
            Remove(call);
            return true;
        }
    }

    /// <summary>
    /// Replaces what was estimated for a call by what it used, and learns from its output. Does nothing for a call that was not charged.
    /// </summary>
    public void Settle(QueuedCall call, double inputTokens, double outputTokens)
    {
        if (call.Charged <= 0) return;
        lock (_gate)
        {
            VirtualTokens.Correct(call.Account!, call, inputTokens, outputTokens);
            VirtualTokens.Learn(call.Account!, outputTokens);
        }
    }

    /// <summary>The same for a slot whose attempts failed: what they wrote says nothing of the next call.</summary>
    public void SettleFailed(QueuedCall call, double inputTokens, double outputTokens)
    {
        if (call.Charged <= 0) return;
        lock (_gate) VirtualTokens.Correct(call.Account!, call, inputTokens, outputTokens);
    }

    /// <summary>
    /// Applies the limits of a catalogue, which replace those of the previous one, and serves the calls that have room now. A deployment
    /// that several models list has the lowest limit that any of them states. One that is no longer listed keeps its limit.
    /// </summary>
    /// <param name="deployments">All deployments of all models.</param>
    public void SetLimits(IEnumerable<Deployment> deployments)
    {
        QueuedCall? ended = null;
        lock (_gate)
        {
            var now = time.GetTimestamp();
            foreach (var same in deployments.GroupBy(deployment => deployment.Name, StringComparer.Ordinal))
            {
                // Made now, so that a call with an older catalogue does not make it with an older limit.
                var slot = SlotOf(same.First());
                slot.SetLimits(same.Min(deployment => deployment.MaxConcurrency), same.Any(deployment => deployment.IsAdaptive));
                slot.Keys = same.First().KeyIds;
                Dispatch(slot, now, ref ended);
            }
        }
        Notify(ended);
    }

    /// <summary>Applies settings that changed to the calls that wait. None of them is refused because of that.</summary>
    /// <param name="settingsOf">The settings of a model's queue by its name.</param>
    public void SetQueueSettings(Func<string, SchedulingConfig> settingsOf)
    {
        lock (_gate)
        {
            foreach (var queue in _models.Values) queue.Apply(settingsOf(queue.Model), time);
        }
    }

    /// <summary>Estimate of the wait of a call that waits; null if nothing is known.</summary>
    public TimeSpan? ExpectedWaitOf(QueuedCall call)
    {
        lock (_gate) return call.State == QueueState.Waiting ? WaitEstimate.Of(call, time.GetTimestamp()) : null;
    }

    /// <summary>Waiting calls by model and class.</summary>
    public IReadOnlyList<(string Model, int Class, int Waiting)> Lengths()
    {
        lock (_gate)
        {
            var lengths = new List<(string, int, int)>();
            foreach (var queue in _models.Values)
            {
                for (var rank = 0; rank < 3; rank++)
                {
                    if (queue.WaitingOf(rank) is > 0 and var waiting) lengths.Add((queue.Model, rank, waiting));
                }
            }
            return lengths;
        }
    }

    /// <summary>Calls that wait for a deployment, of all models.</summary>
    public int WaitingFor(string deployment)
    {
        if (!_slots.TryGetValue(deployment, out var slot)) return 0;
        lock (_gate) return slot.Queue.Lanes.Sum(lane => lane.Count);
    }

    /// <summary>The deployments that were used since the start of the process.</summary>
    public IEnumerable<DeploymentSlot> Used => _slots.Values;

    /// <summary>The deployment of this name, or null if it was not used yet.</summary>
    public DeploymentSlot? Find(string deployment) => _slots.GetValueOrDefault(deployment);

    /// <summary>Calls of a model that wait, of all classes.</summary>
    public int WaitingOf(string model)
    {
        lock (_gate) return _models.TryGetValue(model, out var queue) ? queue.WaitingOf(0) + queue.WaitingOf(1) + queue.WaitingOf(2) : 0;
    }

    /// <summary>Slots in use at a deployment.</summary>
    public int TakenAt(string deployment) => _slots.TryGetValue(deployment, out var slot) ? slot.Taken : 0;

    private DeploymentSlot SlotOf(Deployment deployment) =>
        _slots.TryGetValue(deployment.Name, out var slot) ? slot : _slots.GetOrAdd(deployment.Name, NewSlot, deployment);

    private DeploymentSlot NewSlot(string name, Deployment deployment) =>
        new(name, Interlocked.Increment(ref _numbers), deployment, time, QuotaReported);

    private void QuotaReported(DeploymentSlot slot)
    {
        if (slot.HasWaiting) Serve(slot);
    }

    private QueueLane LaneOf(ModelQueue queue, IReadOnlyList<Deployment> deployments)
    {
        DeploymentSlot[] slots = [.. deployments.Select(SlotOf).Distinct().OrderBy(slot => slot.Number)];
        foreach (var known in queue.Lanes)
        {
            if (known.HasSlots(slots)) return known;
        }
        var lane = new QueueLane(queue, slots);
        queue.Lanes.Add(lane);
        foreach (var slot in slots) slot.Queue.Add(lane);
        return lane;
    }

    private void Serve(DeploymentSlot slot)
    {
        QueuedCall? ended = null;
        lock (_gate) Dispatch(slot, time.GetTimestamp(), ref ended);
        Notify(ended);
    }

    private void Dispatch(DeploymentSlot slot, long now, ref QueuedCall? ended)
    {
        if (IsHeld(slot, 1)) return;
        while (slot.HasRoom && slot.Queue.Next(now) is { } call)
        {
            if (IsHeld(slot, call.InputTokens)) return;
            if (!slot.TryTakeForWaiting()) return;
            if (slot.Quota.IsActive)
            {
                if (!slot.Quota.TryReserve(slot.Keys, call.InputTokens, out var key))
                {
                    // Another call took what was left at this moment.
                    slot.GiveBack();
                    IsHeld(slot, call.InputTokens);
                    return;
                }
                call.ProviderKey = key;
            }
            slot.Queue.Take(call);
            call.Deployment = slot.Name;
            End(call, QueueState.Granted, ref ended);
        }
    }

    /// <summary>Whether the provider's own limits have no room. Then the calls that wait are looked at again when they have.</summary>
    private bool IsHeld(DeploymentSlot slot, double inputTokens)
    {
        var wait = slot.Quota.WaitFor(slot.Keys, inputTokens);
        if (wait <= TimeSpan.Zero) return false;
        if (!slot.HasWaiting) return true;
        // A millisecond is the resolution of timers.
        wait += TimeSpan.FromMilliseconds(1);
        slot.Wake ??= time.CreateTimer(state => Serve((DeploymentSlot)state!), slot, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        slot.Wake.Change(wait, Timeout.InfiniteTimeSpan);
        return true;
    }

    /// <summary>
    /// Refuses what may not wait: a run that would leave no worker for others, a call whose deadline cannot be met, or one beyond the
    /// maximum.
    /// </summary>
    private void Check(QueuedCall call, ModelQueue queue, long now, ref QueuedCall? ended)
    {
        if (call.IsRun)
        {
            var allowed = RunPlaces.Of(call.Workers);
            if (queue.RunsOf(call) > allowed.PerLine || _models.Values.Sum(other => other.Runs) > allowed.All)
                Refuse(call, QueueRefusal.NoPlace, ref ended);
            return;
        }
        // The estimate looks at all lines, so it is computed only if it decides or is shown.
        if (call.TimeLeft is { } left)
        {
            call.ExpectedWait = WaitEstimate.Of(call, now);
            if (call.ExpectedWait > left)
            {
                Refuse(call, QueueRefusal.Deadline, ref ended);
                return;
            }
        }
        if (!queue.IsOver(call.Class)) return;
        var victim = queue.VictimFor(call);
        victim.ExpectedWait = WaitEstimate.Of(victim, now);
        Refuse(victim, QueueRefusal.Full, ref ended);
    }

    private void Refuse(QueuedCall call, QueueRefusal refusal, ref QueuedCall? ended)
    {
        call.Refusal = refusal;
        call.Queued = call.Lane.Model.QueuedOf(call.Class) - 1;
        End(call, QueueState.Refused, ref ended);
    }

    private void End(QueuedCall call, QueueState state, ref QueuedCall? ended)
    {
        call.State = state;
        call.NextEnded = ended;
        ended = call;
        Remove(call);
    }

    private void Remove(QueuedCall call)
    {
        var lane = call.Lane;
        lane.Remove(call);
        lane.Model.Count(call, -1);
        foreach (var slot in lane.Slots) slot.AddWaiting(-1);
        if (lane.Count > 0) return;
        foreach (var slot in lane.Slots) slot.Queue.Remove(lane);
        lane.Model.Lanes.Remove(lane);
        if (lane.Model.IsEmpty) _models.Remove(lane.Model.Model);
    }

    // Without the lock: what wakes up may come back at once.
    private static void Notify(QueuedCall? ended)
    {
        while (ended is not null)
        {
            var next = ended.NextEnded;
            ended.NextEnded = null;
            ended.Ended();
            ended = next;
        }
    }
}

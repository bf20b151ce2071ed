using Fairlead.Catalogue;

namespace Fairlead.Scheduling;

/// <summary>
/// The queues of the calls that wait for a slot of a deployment or for the provider's own limits. They share one lock, which is taken only
/// while a call waits. Thread-safe.
/// </summary>
/// <param name="slotOf">The slot of a deployment, created if it is new.</param>
/// <param name="time">The clock.</param>
internal sealed class DeploymentQueues(Func<Deployment, DeploymentSlot> slotOf, TimeProvider time)
{
    private readonly Dictionary<string, ModelQueue> _models = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private long _sequence;

    /// <summary>Which deployments are closed to calls; null for none.</summary>
    public IDeploymentAvailability? Availability { get; set; }

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
            call.EnteredAt = call.Earlier?.EnteredAt ?? now - (long)(call.WaitedBefore.TotalSeconds * time.TimestampFrequency);
            call.Sequence = call.Earlier?.Sequence ?? ++_sequence;
            if (!_models.TryGetValue(model, out var queue)) _models[model] = queue = new ModelQueue(model);
            queue.Apply(settings, time);
            var lane = LaneOf(queue, deployments);
            lane.Add(call);
            queue.Count(call, 1);
            foreach (var slot in lane.Slots) slot.AddWaiting(1);
            for (var i = 0; i < deployments.Count && call.State == QueueState.Waiting; i++)
            {
                Dispatch(slotOf(deployments[i]), now, ref ended);
            }
            if (call.State == QueueState.Waiting && IsClosed(lane)) Refuse(call, QueueRefusal.Closed, ref ended);
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

    /// <summary>Applies settings that changed to the calls that wait. None of them is refused because of that.</summary>
    /// <param name="settingsOf">The settings of a model's queue by its name.</param>
    public void SetSettings(Func<string, SchedulingConfig> settingsOf)
    {
        lock (_gate)
        {
            foreach (var queue in _models.Values) queue.Apply(settingsOf(queue.Model), time);
        }
    }

    /// <summary>Estimate of the wait of a call that waits; null if nothing is known.</summary>
    public TimeSpan? ExpectedWaitOf(QueuedCall call)
    {
        lock (_gate) return call.State == QueueState.Waiting ? WaitEstimate.Of(call, time.GetTimestamp(), Availability) : null;
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
    public int WaitingFor(DeploymentSlot slot)
    {
        lock (_gate) return slot.Queue.Lanes.Sum(lane => lane.Count);
    }

    /// <summary>Calls of a model that wait, of all classes.</summary>
    public int WaitingOf(string model)
    {
        lock (_gate) return _models.TryGetValue(model, out var queue) ? queue.WaitingOf(0) + queue.WaitingOf(1) + queue.WaitingOf(2) : 0;
    }

    /// <summary>Gives free slots of a deployment to the calls that wait for it.</summary>
    public void Serve(DeploymentSlot slot)
    {
        QueuedCall? ended = null;
        lock (_gate) Dispatch(slot, time.GetTimestamp(), ref ended);
        Notify(ended);
    }

    /// <summary>
    /// A deployment was closed, or is no longer. Calls that wait for closed ones only are refused; those that have room are served.
    /// </summary>
    public void AvailabilityChanged(DeploymentSlot slot)
    {
        QueuedCall? ended = null;
        lock (_gate)
        {
            foreach (var lane in slot.Queue.Lanes.Where(IsClosed).ToArray())
            {
                foreach (var call in lane.Calls.ToArray()) Refuse(call, QueueRefusal.Closed, ref ended);
            }
            Dispatch(slot, time.GetTimestamp(), ref ended);
        }
        Notify(ended);
    }

    /// <summary>Whether a call that waits may get a slot of a deployment now.</summary>
    public bool IsServed(string deployment) => Availability is not { } availability || availability.UntilServed(deployment) <= TimeSpan.Zero;

    private bool IsClosed(QueueLane lane) =>
        Availability is { } availability && Array.TrueForAll(lane.Slots, slot => availability.IsClosed(slot.Name));

    private QueueLane LaneOf(ModelQueue queue, IReadOnlyList<Deployment> deployments)
    {
        DeploymentSlot[] slots = [.. deployments.Select(slotOf).Distinct().OrderBy(slot => slot.Number)];
        foreach (var known in queue.Lanes)
        {
            if (known.HasSlots(slots)) return known;
        }
        var lane = new QueueLane(queue, slots);
        queue.Lanes.Add(lane);
        foreach (var slot in slots) slot.Queue.Add(lane);
        return lane;
    }

    private void Dispatch(DeploymentSlot slot, long now, ref QueuedCall? ended)
    {
        if (IsClosed(slot) || IsHeld(slot, 1)) return;
        // One call is a test; what it finds out decides about the others.
        var isTest = Availability?.IsClosed(slot.Name) == true;
        while (slot.HasRoom && slot.Queue.Next(now) is { } call)
        {
            if (IsHeld(slot, call.InputTokens)) return;
            if (!slot.TryTakeForWaiting()) return;
            if (slot.Quota.IsActive)
            {
                if (!slot.Quota.TryReserve(slot.Keys, call.InputTokens, out var reservation))
                {
                    // Another call took what was left at this moment.
                    slot.GiveBack();
                    IsHeld(slot, call.InputTokens);
                    return;
                }
                call.Reservation = reservation;
            }
            slot.Queue.Take(call);
            call.Deployment = slot.Name;
            End(call, QueueState.Granted, ref ended);
            if (isTest) return;
        }
    }

    /// <summary>Whether no call may get a slot. Then the calls that wait are looked at again when a test is due.</summary>
    private bool IsClosed(DeploymentSlot slot)
    {
        if (Availability?.UntilServed(slot.Name) is not { } wait || wait <= TimeSpan.Zero) return false;
        if (wait < TimeSpan.MaxValue && slot.HasWaiting) WakeAfter(slot, wait);
        return true;
    }

    /// <summary>Whether the provider's own limits have no room. Then the calls that wait are looked at again when they have.</summary>
    private bool IsHeld(DeploymentSlot slot, double inputTokens)
    {
        var wait = slot.Quota.WaitFor(slot.Keys, inputTokens);
        if (wait <= TimeSpan.Zero) return false;
        if (slot.HasWaiting) WakeAfter(slot, wait);
        return true;
    }

    private void WakeAfter(DeploymentSlot slot, TimeSpan wait)
    {
        slot.Wake ??= time.CreateTimer(state => Serve((DeploymentSlot)state!), slot, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        // A millisecond is the resolution of timers.
        slot.Wake.Change(wait + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
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
            call.ExpectedWait = WaitEstimate.Of(call, now, Availability);
            if (call.ExpectedWait > left)
            {
                Refuse(call, QueueRefusal.Deadline, ref ended);
                return;
            }
        }
        // One that has its earlier place does not lose it to those that came meanwhile.
        if (call.Earlier is not null || !queue.IsOver(call.Class)) return;
        var victim = queue.VictimFor(call);
        victim.ExpectedWait = WaitEstimate.Of(victim, now, Availability);
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

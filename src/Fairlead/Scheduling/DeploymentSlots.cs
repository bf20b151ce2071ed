using System.Collections.Concurrent;
using Fairlead.Catalogue;

namespace Fairlead.Scheduling;

/// <summary>
/// Counts the attempts at each deployment against its <c>maxConcurrency</c>, and holds the queues of the calls that wait for a slot.
/// Deployments are identified by name, so that the count survives a reload and is shared by all models that list the same deployment.
/// Thread-safe.
/// </summary>
/// <remarks>
/// A call that finds a slot takes only the lock of that deployment. All queues share one lock, which is taken only while a call waits.
/// <see cref="DeploymentSlot"/> counts its waiting calls under its own lock: a call that enters the queue either sees the slot that is
/// returned at that moment, or is seen by the one that returns it.
/// </remarks>
internal sealed class DeploymentSlots(TimeProvider time)
{
    private readonly ConcurrentDictionary<string, DeploymentSlot> _slots = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ModelQueue> _models = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private int _numbers;
    private long _sequence;

    /// <summary>Takes a slot, which must be returned, if one is free and no call waits for it.</summary>
    public bool TryTake(Deployment deployment) =>
        deployment.MaxConcurrency is not { } limit || SlotOf(deployment.Name).TryTake(limit);

    /// <summary>Returns a slot. The best call that waits for it gets it.</summary>
    /// <param name="deployment">As the slot was taken.</param>
    /// <param name="held">How long it was held; null if it was not used.</param>
    public void GiveBack(Deployment deployment, TimeSpan? held = null)
    {
        if (deployment.MaxConcurrency is null) return;
        var slot = SlotOf(deployment.Name);
        if (slot.GiveBack(held)) Serve(slot);
    }

    /// <summary>
    /// Puts a call into the queue of its model, or gives it a slot at once if there is one. The call that is returned to its owner by
    /// <see cref="QueuedCall.Ended"/> may be another one: an organization that fills the queue loses its newest place to another.
    /// </summary>
    /// <param name="call">A new call.</param>
    /// <param name="model">Name of its model.</param>
    /// <param name="settings">Settings of the model's queue.</param>
    /// <param name="deployments">The deployments that may serve it, each with <c>maxConcurrency</c>, the preferred one first.</param>
    public void Enter(QueuedCall call, string model, SchedulingConfig settings, IReadOnlyList<Deployment> deployments)
    {
        QueuedCall? ended = null;
        lock (_gate)
        {
            var now = time.GetTimestamp();
            call.EnteredAt = now;
            call.Sequence = ++_sequence;
            if (!_models.TryGetValue(model, out var queue)) _models[model] = queue = new ModelQueue(model);
            queue.MaxQueued = settings.MaxQueued;
            queue.AgingTicks = Math.Max(1, (long)(settings.AgingAfter.TotalSeconds * time.TimestampFrequency));
            var lane = LaneOf(queue, deployments);
            lane.Add(call);
            queue.Count(call, 1);
            foreach (var slot in lane.Slots) slot.AddWaiting(1);
            for (var i = 0; i < deployments.Count && call.State == QueueState.Waiting; i++)
            {
                Dispatch(SlotOf(deployments[i].Name), now, ref ended);
            }
            if (call.State == QueueState.Waiting && !call.IsReturning && !call.IsRun) Check(call, queue, now, ref ended);
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

    /// <summary>Replaces what was estimated for a call by what it used. Does nothing for a call that was not charged.</summary>
    public void Settle(QueuedCall call, double inputTokens, double outputTokens)
    {
        if (call.Charged <= 0) return;
        lock (_gate) VirtualTokens.Correct(call.Account!, call, inputTokens, outputTokens);
    }

    /// <summary>Applies limits that changed to the calls that wait, and serves those that have room now.</summary>
    /// <param name="find">The deployment of a model by both names; null if the model no longer has it: then its old limit stays.</param>
    public void LimitsChanged(Func<string, string, Deployment?> find)
    {
        QueuedCall? ended = null;
        lock (_gate)
        {
            var now = time.GetTimestamp();
            var slots = new HashSet<DeploymentSlot>();
            foreach (var lane in _models.Values.SelectMany(queue => queue.Lanes))
            {
                for (var i = 0; i < lane.Slots.Length; i++)
                {
                    slots.Add(lane.Slots[i]);
                    if (find(lane.Model.Model, lane.Slots[i].Name) is { } found) lane.Limits[i] = found.MaxConcurrency ?? int.MaxValue;
                }
            }
            foreach (var slot in slots) Dispatch(slot, now, ref ended);
        }
        Notify(ended);
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

    /// <summary>Models for which at least <paramref name="runs"/> calls without a client wait.</summary>
    public IReadOnlyList<string> ModelsWithRuns(int runs)
    {
        lock (_gate) return _models.Count == 0 ? [] : [.. _models.Values.Where(queue => queue.Runs >= runs).Select(queue => queue.Model)];
    }

    /// <summary>Calls that wait for a deployment, of all models.</summary>
    public int WaitingFor(string deployment)
    {
        if (!_slots.TryGetValue(deployment, out var slot)) return 0;
        lock (_gate) return slot.Queue.Lanes.Sum(entry => entry.Lane.Count);
    }

    /// <summary>Slots in use at a deployment.</summary>
    public int TakenAt(string deployment) => _slots.TryGetValue(deployment, out var slot) ? slot.Taken : 0;

    private DeploymentSlot SlotOf(string name) =>
        _slots.TryGetValue(name, out var slot) ? slot : _slots.GetOrAdd(name, NewSlot);

    private DeploymentSlot NewSlot(string name) => new(name, Interlocked.Increment(ref _numbers));

    private QueueLane LaneOf(ModelQueue queue, IReadOnlyList<Deployment> deployments)
    {
        var entries = new (DeploymentSlot Slot, int Limit)[deployments.Count];
        for (var i = 0; i < entries.Length; i++)
        {
            entries[i] = (SlotOf(deployments[i].Name), deployments[i].MaxConcurrency ?? int.MaxValue);
        }
        var ordered = entries.DistinctBy(entry => entry.Slot.Number).OrderBy(entry => entry.Slot.Number).ToArray();
        var slots = Array.ConvertAll(ordered, entry => entry.Slot);
        foreach (var known in queue.Lanes)
        {
            if (known.HasSlots(slots)) return known;
        }
        var lane = new QueueLane(queue, slots, Array.ConvertAll(ordered, entry => entry.Limit));
        queue.Lanes.Add(lane);
        for (var i = 0; i < slots.Length; i++) slots[i].Queue.Add(lane, i);
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
        while (slot.Queue.Next(slot.Taken, now) is { } call)
        {
            if (!slot.TryTakeForWaiting(call.Lane.Limits[Array.IndexOf(call.Lane.Slots, slot)])) return;
            slot.Queue.Take(call);
            call.Deployment = slot.Name;
            End(call, QueueState.Granted, ref ended);
        }
    }

    /// <summary>Refuses what may not wait: a call beyond the maximum, or one whose deadline cannot be met.</summary>
    private void Check(QueuedCall call, ModelQueue queue, long now, ref QueuedCall? ended)
    {
        call.ExpectedWait = WaitEstimate.Of(call, now);
        if (call.TimeLeft is { } left && call.ExpectedWait > left)
        {
            Refuse(call, QueueRefusal.Deadline, ref ended);
            return;
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

namespace Fairlead.Scheduling;

/// <summary>
/// The expected wait of a call: the calls before it and itself, divided by the slots that become free per second. An estimate: it assumes
/// that attempts take as long as recent ones, and that nobody else arrives or leaves.
/// </summary>
internal static class WaitEstimate
{
    /// <summary>Null if no attempt has ended yet at one of its deployments: that may be the fastest.</summary>
    /// <param name="call">The call.</param>
    /// <param name="now">Timestamp.</param>
    /// <param name="availability">Which deployments are closed: their slots go to nobody. Null for none.</param>
    public static TimeSpan? Of(QueuedCall call, long now, IDeploymentAvailability? availability)
    {
        var perSecond = 0.0;
        var lane = call.Lane;
        foreach (var slot in lane.Slots)
        {
            if (availability?.IsClosed(slot.Name) == true) continue;
            if (slot.HoldSeconds is not (> 0 and var hold)) return null;
            // A limit that was lowered below the slots in use frees as many of them.
            perSecond += Math.Min(slot.Limit, Math.Max(1, slot.Taken)) / hold;
        }
        if (perSecond == 0) return null;
        var seconds = (PositionOf(call, now) + 1) / perSecond;
        return TimeSpan.FromSeconds(Math.Min(seconds, TimeSpan.FromDays(1).TotalSeconds));
    }

    /// <summary>
    /// Calls that are expected to be served before it: those that had a slot, those of higher classes, the earlier ones of its own
    /// organization, of each other organization in its class as many as its weight entitles it to meanwhile, and of aged calls of lower
    /// classes as many as of all these.
    /// </summary>
    public static double PositionOf(QueuedCall call, long now)
    {
        // Most are asked for when they arrive, as the last of their line.
        var own = call.Node.Next is null ? call.Node.List!.Count - 1 : 0;
        if (call.Node.Next is not null)
        {
            for (var node = call.Node.Previous; node is not null; node = node.Previous) own++;
        }
        double before = own;
        var aged = 0;
        var lane = call.Lane;
        for (var i = 0; i < lane.Slots.Length; i++)
        {
            foreach (var other in lane.Slots[i].Queue.Lanes)
            {
                // A lane that shares several deployments is counted at the first.
                if (!IsFirstShared(lane, i, other)) continue;
                before += other.Returning.Count;
                for (var rank = 0; rank < 3; rank++)
                {
                    foreach (var (organization, line) in other.LinesOf(rank))
                    {
                        var head = line.Calls.First!.Value;
                        if (ReferenceEquals(line.Calls, call.Node.List)) continue;
                        if (rank < call.Class) before += line.Calls.Count;
                        else if (rank > call.Class) aged += other.LevelOf(head, now) <= call.Class ? line.Calls.Count : 0;
                        else if (organization == call.Organization) before += line.Calls.Count;
                        else before += Math.Min(line.Calls.Count, (own + 1) * head.Weight / call.Weight);
                    }
                }
            }
        }
        return before + Math.Min(aged, before + 1);
    }

    private static bool IsFirstShared(QueueLane lane, int index, QueueLane other)
    {
        for (var i = 0; i < index; i++)
        {
            if (Array.IndexOf(other.Slots, lane.Slots[i]) >= 0) return false;
        }
        return true;
    }
}

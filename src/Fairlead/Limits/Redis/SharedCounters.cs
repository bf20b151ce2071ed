namespace Fairlead.Limits.Redis;

/// <summary>
/// Keeps the counters in process equal to the store's, so that headers and refusals show its numbers, and shares them out among the nodes
/// while it is unavailable. Thread-safe with the lock of the organization.
/// </summary>
internal static class SharedCounters
{
    /// <summary>What the store has decided. Null if everything was taken; otherwise the limits that refuse.</summary>
    public static List<RefusingLimit>? Take(
        TokenReservation reservation, AppliedLimits limits, in LimitAmounts amounts, RateReply reply, out bool isNear)
    {
        isNear = false;
        var accounts = limits.Accounts;
        lock (accounts.Gate)
        {
            // After the store decided: a wait that starts now is long enough.
            var now = accounts.Clock.Now();
            if (reply.IsTaken)
            {
                foreach (var rate in limits.Rates) rate.Hold(amounts.Of(rate.Name));
                foreach (var counter in limits.Concurrency) counter.Take();
                reservation.HoldRates(limits, amounts, now.Timestamp);
                limits.CountOpen(1, now.Timestamp);
            }
            Apply(limits, reply, now.Timestamp, isNewCall: reply.IsTaken);
            if (reply.IsTaken)
            {
                foreach (var rate in limits.Rates) isNear |= rate.IsNear(now);
                foreach (var counter in limits.Concurrency) isNear |= counter.IsNear(now);
                return null;
            }
            var refusing = new List<RefusingLimit>();
            RefusingLimits.AddRates(refusing, limits, amounts, now);
            return refusing;
        }
    }

    /// <summary>Shows what the store has, after a settlement.</summary>
    public static void Show(AppliedLimits limits, RateReply reply)
    {
        lock (limits.Accounts.Gate) Apply(limits, reply, limits.Accounts.Clock.Time.GetTimestamp(), isNewCall: false);
    }

    /// <summary>This node decides alone: it has the same share as each of the other nodes.</summary>
    /// <param name="limits">The limits of a call.</param>
    /// <param name="nodes">All nodes, 1 or more.</param>
    public static void ShareOut(AppliedLimits limits, int nodes)
    {
        lock (limits.Accounts.Gate)
        {
            var now = limits.Accounts.Clock.Time.GetTimestamp();
            foreach (var rate in limits.Rates) rate.ShareOut(nodes, now);
            foreach (var counter in limits.Concurrency) counter.ShareOut(nodes);
        }
    }

    /// <summary>Remembers a settlement that the store did not get.</summary>
    public static void Remember(AppliedLimits limits, in LimitAmounts held, in LimitAmounts used)
    {
        lock (limits.Accounts.Gate)
        {
            foreach (var rate in limits.Rates) rate.Unreported += used.Of(rate.Name) - held.Of(rate.Name);
        }
    }

    /// <summary>What an organization has used that the store does not know. It is reported once.</summary>
    public static List<RateUse> TakeUnreported(OrganizationAccounts accounts)
    {
        var uses = new List<RateUse>();
        lock (accounts.Gate)
        {
            var now = accounts.Clock.Time.GetTimestamp();
            foreach (var rate in accounts.Rates)
            {
                if (rate.TakeUnreported(now) is var amount && amount != 0) uses.Add(new RateUse(rate.Identity, rate.WholeLimit, amount));
            }
        }
        return uses;
    }

    private static void Apply(AppliedLimits limits, RateReply reply, long now, bool isNewCall)
    {
        var at = 0;
        foreach (var rate in limits.Rates) rate.Show(reply.Values[at++], reply.Sequence, now);
        foreach (var counter in limits.Concurrency) counter.Show((long)reply.Values[at++], reply.Sequence, isNewCall);
    }
}

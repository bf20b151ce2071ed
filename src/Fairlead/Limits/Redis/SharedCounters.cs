namespace Fairlead.Limits.Redis;

/// <summary>
/// Keeps the counters in process equal to the store's, so that headers and refusals show its numbers, and shares them out among the nodes
/// while it is unavailable. Thread-safe with the lock of the organization.
/// </summary>
internal static class SharedCounters
{
    /// <summary>Puts in force what the store has decided, unless this node has decided alone since it was asked.</summary>
    /// <param name="reservation">Of the call.</param>
    /// <param name="limits">Its limits.</param>
    /// <param name="amounts">How much of each.</param>
    /// <param name="reply">What the store has decided.</param>
    /// <param name="circuit">Whether this node decides alone.</param>
    /// <param name="outages">The outages before the store was asked.</param>
    /// <param name="result">
    /// If everything was taken, that; otherwise the limits that refuse, perhaps none: a limit was raised meanwhile.
    /// </param>
    /// <returns>False if the reply is too late.</returns>
    public static bool TryTake(TokenReservation reservation, AppliedLimits limits, in LimitAmounts amounts, RateReply reply,
        RedisCircuit circuit, long outages, out SharedRatesResult result)
    {
        result = default;
        var accounts = limits.Accounts;
        lock (accounts.Gate)
        {
            if (circuit.Outages != outages) return false;
            limits.Adapt();
            // After the store decided: a wait that starts now is long enough.
            var now = accounts.Clock.Now();
            if (reply.IsTaken)
            {
                foreach (var rate in limits.Rates) rate.Hold(amounts.Of(rate.Name));
                foreach (var counter in limits.Concurrency) counter.Take();
                reservation.HoldRates(limits, amounts, now.Timestamp);
                reservation.Outage = 0;
                limits.CountOpen(1, now.Timestamp);
            }
            Apply(limits, reply, now.Timestamp, isNewCall: reply.IsTaken);
            if (reply.IsTaken)
            {
                var isNear = false;
                foreach (var rate in limits.Rates) isNear |= rate.IsNear(now);
                foreach (var counter in limits.Concurrency) isNear |= counter.IsNear(now);
                result = new SharedRatesResult { IsTaken = true, IsNear = isNear };
                return true;
            }
            var refusing = new List<RefusingLimit>();
            RefusingLimits.AddRates(refusing, limits, amounts, now);
            result = new SharedRatesResult { Refusing = refusing };
            return true;
        }
    }

    /// <summary>
    /// Shows what the store has, after a settlement, unless this node has decided alone since: that must not be lost from sight.
    /// </summary>
    public static void Show(AppliedLimits limits, RateReply reply, RedisCircuit circuit, long outages)
    {
        lock (limits.Accounts.Gate)
        {
            if (circuit.Outages == outages) Apply(limits, reply, limits.Accounts.Clock.Time.GetTimestamp(), isNewCall: false);
        }
    }

    /// <summary>This node decides alone: it has the same share as each of the other nodes. Needs the lock of the organization.</summary>
    /// <param name="limits">The limits of a call.</param>
    /// <param name="nodes">All nodes, 1 or more.</param>
    public static void ShareOut(AppliedLimits limits, int nodes)
    {
        var now = limits.Accounts.Clock.Time.GetTimestamp();
        foreach (var rate in limits.Rates) rate.ShareOut(nodes, now);
        foreach (var counter in limits.Concurrency) counter.ShareOut(nodes);
    }

    /// <summary>The store decides again, unless it is already unavailable again.</summary>
    public static void Unshare(OrganizationAccounts accounts, RedisCircuit circuit)
    {
        lock (accounts.Gate)
        {
            if (!circuit.IsAvailable) return;
            var now = accounts.Clock.Time.GetTimestamp();
            foreach (var rate in accounts.Rates) rate.Unshare(now);
            foreach (var counter in accounts.Concurrency) counter.Unshare();
        }
    }

    /// <summary>Remembers a settlement that the store did not get, or perhaps did not get.</summary>
    /// <param name="limits">The limits of the call.</param>
    /// <param name="held">What it reserved.</param>
    /// <param name="used">What it used.</param>
    /// <param name="isHeldHere">
    /// Whether it reserved here, so that the store need not know. What the store knows is never given back later: it may have been given back
    /// already, or be forgotten while others used it.
    /// </param>
    /// <param name="unreported">Where it is remembered.</param>
    public static void Remember(AppliedLimits limits, in LimitAmounts held, in LimitAmounts used, bool isHeldHere, UnreportedRates unreported)
    {
        lock (limits.Accounts.Gate)
        {
            foreach (var rate in limits.Rates)
            {
                var difference = used.Of(rate.Name) - held.Of(rate.Name);
                if (difference > 0 || isHeldHere) rate.Unreported += difference;
            }
            unreported.Mark(limits);
        }
    }

    private static void Apply(AppliedLimits limits, RateReply reply, long now, bool isNewCall)
    {
        var at = 0;
        foreach (var rate in limits.Rates) rate.Show(reply.Values[at++], reply.Sequence, now);
        foreach (var counter in limits.Concurrency) counter.Show((long)reply.Values[at++], reply.Sequence, isNewCall);
    }
}

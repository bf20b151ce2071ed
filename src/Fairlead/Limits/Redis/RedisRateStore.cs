using StackExchange.Redis;

namespace Fairlead.Limits.Redis;

/// <summary>
/// Runs <see cref="RateScripts"/>. The driver sends only their hashes, and loads them again if Redis does not know them. Thread-safe.
/// Everything throws an exception for which <see cref="RedisErrors.IsUnavailable"/> holds if Redis is unavailable.
/// </summary>
/// <param name="connection">The connection.</param>
/// <param name="watch">Learns of what is sent and received.</param>
/// <param name="clock">Microseconds, only for tests; null for the clock of the server.</param>
internal sealed class RedisRateStore(RedisConnection connection, RedisWatch watch, Func<long>? clock = null)
{
    /// <summary>
    /// A node or a call of which nothing was heard for this long does not count. A node that was only slow registers its calls again.
    /// </summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(10);

    /// <summary>Of one command: calls wait for what was sent before.</summary>
    private const int MaxMembers = 250;

    private static readonly long LeaseMilliseconds = (long)Lease.TotalMilliseconds;

    private long _sequence;

    private long Now => clock?.Invoke() ?? 0;

    /// <param name="limits">What applies.</param>
    /// <param name="amounts">How much.</param>
    /// <param name="member">The call.</param>
    /// <param name="cancellationToken">Ends the wait, not the reservation.</param>
    public async Task<RateReply> ReserveAsync(
        AppliedLimits limits, LimitAmounts amounts, string member, CancellationToken cancellationToken)
    {
        var (rates, concurrency) = (limits.Rates, limits.Concurrency);
        var values = new RedisValue[4 + (rates.Length * 3) + concurrency.Length];
        (values[0], values[1], values[2], values[3]) = (Now, rates.Length, member, LeaseMilliseconds);
        var at = 4;
        lock (limits.Accounts.Gate)
        {
            // A call of another class may have moved an elastic limit that both have.
            limits.Adapt();
            foreach (var rate in rates)
            {
                var amount = amounts.Of(rate.Name);
                values[at++] = rate.WholeLimit;
                // The script compares the whole amount. What a shrunk limit need not have is added to the capacity.
                values[at++] = rate.WholeCapacity + (amount - rate.WholeNeedOf(amount));
                values[at++] = amount;
            }
            foreach (var counter in concurrency) values[at++] = counter.WholeLimit;
        }
        return await RunAsync(RateScripts.Reserve, RedisKeys.Of(limits), values, cancellationToken);
    }

    /// <param name="limits">Where it was reserved.</param>
    /// <param name="held">What was reserved.</param>
    /// <param name="used">What was used.</param>
    /// <param name="member">The call.</param>
    /// <param name="cancellationToken">Ends the wait, not the settlement.</param>
    public async Task<RateReply> SettleAsync(
        AppliedLimits limits, LimitAmounts held, LimitAmounts used, string member, CancellationToken cancellationToken)
    {
        var values = new RedisValue[3 + (limits.Rates.Length * 2)];
        (values[0], values[1], values[2]) = (Now, limits.Rates.Length, member);
        var at = 3;
        foreach (var rate in limits.Rates)
        {
            values[at++] = rate.WholeLimit;
            values[at++] = used.Of(rate.Name) - held.Of(rate.Name);
        }
        return await RunAsync(RateScripts.Settle, RedisKeys.Of(limits), values, cancellationToken);
    }

    /// <summary>Adds what was used of one rate and Redis does not know. The same report counts once.</summary>
    public async Task AddAsync(RateUse use) => await EvaluateAsync(
        RateScripts.Report, [RedisKeys.Of(use.Rate), RedisKeys.OfReport(use)], [Now, use.Limit, use.Amount], CancellationToken.None);

    /// <summary>Shows that calls run which count against a limit of concurrency.</summary>
    public async Task HoldAsync(LimitIdentity concurrency, IReadOnlyList<string> members)
    {
        RedisKey[] keys = [RedisKeys.Of(concurrency)];
        foreach (var some in members.Chunk(MaxMembers))
        {
            RedisValue[] values = [Now, LeaseMilliseconds, .. some.Select(member => (RedisValue)member)];
            await EvaluateAsync(RateScripts.Hold, keys, values, CancellationToken.None);
        }
    }

    /// <summary>Ends calls that count against a limit of concurrency.</summary>
    public async Task EndAsync(LimitIdentity concurrency, IReadOnlyList<string> members)
    {
        var key = RedisKeys.Of(concurrency);
        foreach (var some in members.Chunk(MaxMembers))
        {
            RedisValue[] ended = [.. some.Select(member => (RedisValue)member)];
            await connection.Database.SortedSetRemoveAsync(key, ended, CommandFlags.DemandMaster);
        }
    }

    /// <summary>Shows that a node is alive.</summary>
    /// <returns>How many are, 1 or more.</returns>
    public async Task<int> BeatAsync(string node)
    {
        var alive = await EvaluateAsync(RateScripts.Beat, [RedisKeys.Nodes], [Now, LeaseMilliseconds, node], CancellationToken.None);
        return Math.Max(1, (int)alive);
    }

    /// <summary>Removes a node that stops.</summary>
    public async Task LeaveAsync(string node) => await connection.Database.SortedSetRemoveAsync(RedisKeys.Nodes, node, CommandFlags.DemandMaster);

    private async Task<RateReply> RunAsync(string script, RedisKey[] keys, RedisValue[] values, CancellationToken cancellationToken)
    {
        var sequence = Interlocked.Increment(ref _sequence);
        var result = await EvaluateAsync(script, keys, values, cancellationToken);
        return RateReply.Parse((byte[]?)result ?? [], keys.Length) with { Sequence = sequence };
    }

    private async Task<RedisResult> EvaluateAsync(string script, RedisKey[] keys, RedisValue[] values, CancellationToken cancellationToken)
    {
        watch.Sent();
        try
        {
            // A replica would refuse the writes after it was asked.
            return await connection.Database.ScriptEvaluateAsync(script, keys, values, CommandFlags.DemandMaster)
                .WaitAsync(cancellationToken);
        }
        finally
        {
            watch.Received();
        }
    }
}

/// <summary>What was used of a rate that Redis does not know.</summary>
/// <param name="Rate">The rate.</param>
/// <param name="Limit">Its value in force, in amounts per minute.</param>
/// <param name="Amount">1 or more.</param>
/// <param name="Report">Names the report, so that it counts once.</param>
internal readonly record struct RateUse(LimitIdentity Rate, long Limit, long Amount, string Report);

using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Pipeline;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits.Redis;

/// <summary>Reservations that are tried again: after a response that was lost, around an outage, or with limits that were dropped.</summary>
public sealed class RedisRepeatTests : IAsyncDisposable
{
    private readonly PrivateRedis _redis = PrivateRedis.Start();
    private readonly LimitTime _time = new();
    private readonly List<RedisNode> _nodes = [];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _nodes) await node.DisposeAsync();
        _redis.Dispose();
    }

    [Fact]
    public async Task Concurrency_ServedAfterALostResponse_DoesNotCountAgainstItself()
    {
        var node = await NodeAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 1, RequestsPerMinute = 600 });
        var (call, error) = await ReserveWithLostResponseAsync(node, caller);
        Assert.Null(error);
        Assert.True(node.Circuit.IsAvailable);
        Assert.Equal(1, await CountAsync(node, call));
        Assert.Equal(1, call.Limits!.Read().Single(state => state.Name == LimitName.ConcurrentGenerations).Reserved);
        Assert.NotNull((await node.ReserveAsync(caller)).Error);
        await node.SettleAsync(call);
        Assert.Equal(0, await CountAsync(node, call));
    }

    /// <summary>The first try took the last request of the rate, so that the second is refused. It does not run, and counts nowhere.</summary>
    [Fact]
    public async Task Concurrency_RefusedAfterALostResponse_IsFreeAtOnce()
    {
        var node = await NodeAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 2, RequestsPerMinute = 2 });
        await node.SettleAsync((await node.ReserveAsync(caller)).Call);
        var (call, error) = await ReserveWithLostResponseAsync(node, caller);
        Assert.Equal(ErrorCode.RateLimitExceeded, error!.Code);
        await node.Rates.Settled;
        Assert.Equal(0, await CountAsync(node, call));
    }

    /// <summary>A script that is sent again by the same call takes its place once; another call does not get it.</summary>
    [Fact]
    public async Task Script_SameMember_TakesOnePlace()
    {
        var node = await NodeAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 1 });
        var limits = node.Accounts.Of(caller, LimitCalls.ModelOf(), CallClasses.Standard);
        foreach (var (member, isTaken) in ((string, bool)[])[("call", true), ("call", true), ("another", false), ("call", true)])
        {
            var reply = await node.Store.ReserveAsync(limits, new LimitAmounts(), member, Cancel);
            Assert.Equal((isTaken, 1), (reply.IsTaken, (int)reply.Values[0]));
        }
    }

    /// <summary>Calls that start on the node's share while Redis becomes available are known there when it is.</summary>
    [Fact]
    public async Task Heal_CallsStartMeanwhile_ShowsAllOfThem()
    {
        var node = await NodeAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 100_000 });
        for (var round = 0; round < 20; round++)
        {
            await node.ExecuteAsync("FLUSHALL");
            node.Fail();
            var calls = new List<GatewayCall>();
            var healing = Task.Run(node.HealAsync, Cancel);
            while (!healing.IsCompleted || calls.Count == 0)
            {
                var (call, error) = await node.ReserveAsync(caller);
                Assert.Null(error);
                calls.Add(call);
            }
            await healing;
            Assert.Equal(calls.Count, await CountAsync(node, calls[0]));
            foreach (var call in calls) node.Ledger.Settle(call.Reservation!, default, default);
            await node.Rates.Settled;
        }
    }

    /// <summary>Accounts that nothing used are dropped, also between the look-up of a run's limits and its reservation.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Rates_LimitsDroppedMeanwhile_AreTakenOfTheNewOnes(bool isAvailable)
    {
        var node = await NodeAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 10, ConcurrentGenerations = 5 });
        if (!isAvailable) node.Fail();
        var rates = new DroppingRates(node.Rates, () =>
        {
            _time.Advance(TimeSpan.FromHours(1));
            node.Accounts.Sweep();
        });
        var ledger = new InMemoryTokenLedger(node.Accounts, node.Leases, node.Histories, null, rates);
        var call = LimitCalls.Of(_time, caller, LimitCalls.ModelOf());
        Assert.Null(await ledger.ReserveAsync(call, ReservationParts.Rates, Cancel));
        Assert.Equal([9L, 4L], call.Limits!.Read().Select(state => state.Remaining).Take(2));
        ledger.Settle(call.Reservation!, default, default);
        await node.Rates.Settled;
        Assert.Equal(0, node.Ledger.Totals().Open);
    }

    /// <summary>Calls share the connection with the heartbeat, and wait for what it has sent.</summary>
    [Fact]
    public async Task Heartbeat_ManyCounters_SendsAFewAtATime()
    {
        var node = await NodeAsync();
        const int Organizations = 500;
        for (var i = 0; i < Organizations; i++)
        {
            var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 5, RequestsPerMinute = 10 }, organizationId: $"org_{i}", keyId: $"key_{i}");
            Assert.Null((await node.ReserveAsync(caller)).Error);
        }
        await node.ExecuteAsync("FLUSHALL");
        // The calls that start now have used something that Redis must be told too.
        node.Fail();
        for (var i = 0; i < Organizations; i++)
        {
            var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 10 }, organizationId: $"org_{i}", keyId: $"rate_{i}");
            Assert.Null((await node.ReserveAsync(caller)).Error);
        }
        var beating = Task.Run(node.BeatAsync, Cancel);
        var waiting = 0L;
        while (!beating.IsCompleted) waiting = Math.Max(waiting, node.Watch.Waiting);
        await beating;
        Assert.True(node.Circuit.IsAvailable);
        Assert.InRange(waiting, 1, RedisBatches.MaxParallel);
    }

    /// <summary>
    /// Reserves while Redis hangs. Redis takes it later; the wait for the response ends with an outage, and before the call is decided here,
    /// Redis is available again.
    /// </summary>
    private static async Task<(GatewayCall Call, GatewayError? Error)> LoseResponseAsync(RedisNode node, Caller caller, Action continues)
    {
        var reserving = Task.Run(() => node.ReserveAsync(caller), Cancel);
        SpinWait.SpinUntil(() => node.Watch.Waiting > 0);
        lock (node.Accounts.Organizations.Single().Gate)
        {
            node.Fail();
            // Its wait has ended. It is decided here with this lock.
            SpinWait.SpinUntil(() => node.Watch.Waiting == 0);
            continues();
            Assert.True(node.Circuit.Close(1, node.Circuit.Outages));
        }
        return await reserving;
    }

    private async Task<(GatewayCall Call, GatewayError? Error)> ReserveWithLostResponseAsync(RedisNode node, Caller caller)
    {
        node.Accounts.Of(caller, LimitCalls.ModelOf(), CallClasses.Standard);
        _redis.Suspend();
        try
        {
            return await LoseResponseAsync(node, caller, _redis.Continue);
        }
        finally
        {
            _redis.Continue();
        }
    }

    private static async Task<int> CountAsync(RedisNode node, GatewayCall call)
    {
        var counter = Assert.Single(((AppliedLimits)call.Limits!).Concurrency);
        return (int)await node.ExecuteAsync("ZCARD", RedisKeys.Of(counter.Identity));
    }

    // Without a watch: only a test says when Redis is unavailable.
    private async Task<RedisNode> NodeAsync()
    {
        var node = new RedisNode(_redis, _time, isWatched: false);
        _nodes.Add(node);
        await node.BeatAsync();
        Assert.True(node.Circuit.IsAvailable);
        return node;
    }

    /// <summary>Drops the accounts before the first reservation.</summary>
    private sealed class DroppingRates(RedisRates rates, Action drop) : ISharedRates
    {
        private bool _isDropped;

        public bool IsEnabled => true;

        public ValueTask<SharedRatesResult> ReserveAsync(TokenReservation reservation, AppliedLimits limits, LimitAmounts amounts)
        {
            if (!_isDropped)
            {
                _isDropped = true;
                drop();
                Assert.True(limits.Accounts.IsDropped);
            }
            return rates.ReserveAsync(reservation, limits, amounts);
        }

        public void Settle(TokenReservation reservation, in LimitAmounts used) => rates.Settle(reservation, used);

        public void Release(TokenReservation reservation, AppliedLimits limits, in LimitAmounts held) => rates.Release(reservation, limits, held);
    }
}

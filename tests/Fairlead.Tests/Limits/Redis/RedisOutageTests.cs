using Fairlead.Access;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Pipeline;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits.Redis;

/// <summary>What was used, ended or decided around an outage of Redis: nothing is given back that was used, and nothing counts for long that has ended.</summary>
public sealed class RedisOutageTests : IAsyncDisposable
{
    private readonly PrivateRedis _redis = PrivateRedis.Start();
    private readonly LimitTime _time = new();
    private readonly List<RedisNode> _nodes = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _nodes) await node.DisposeAsync();
        _redis.Dispose();
    }

    [Fact]
    public async Task Settlement_ThatRedisGetsAfterTheHang_GivesBackOnce()
    {
        var (node, other) = (await NodeAsync(), await NodeAsync());
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 600 });
        var (call, _) = await node.ReserveAsync(caller, input: 300);
        Assert.Null((await node.ReserveAsync(caller, input: 200)).Error);
        _redis.Suspend();
        try
        {
            // It is sent, and the wait for the response ends.
            await node.SettleAsync(call, input: 10);
            Assert.False(node.Circuit.IsAvailable);
        }
        finally
        {
            _redis.Continue();
        }
        await node.HealAsync();
        Assert.Equal(380, await RemainingAsync(other, caller, input: 10));
    }

    [Fact]
    public async Task Settlement_OfACallThatRedisForgot_GivesNothingBack()
    {
        var (node, other) = (await NodeAsync(), await NodeAsync());
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 600 });
        var (call, _) = await node.ReserveAsync(caller, input: 300);
        node.Fail();
        await node.SettleAsync(call, input: 10);
        await other.ExecuteAsync("FLUSHALL");
        Assert.Null((await other.ReserveAsync(caller, input: 400)).Error);
        await node.HealAsync();
        Assert.Equal(190, await RemainingAsync(other, caller, input: 10));
    }

    [Fact]
    public async Task Settlement_OfACallOfTheShare_ReportsWhatWasUsed()
    {
        var (node, other) = (await NodeAsync(), await NodeAsync());
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 600 });
        node.Fail();
        var (less, _) = await node.ReserveAsync(caller, input: 100);
        await node.SettleAsync(less, input: 40);
        var (more, _) = await node.ReserveAsync(caller, input: 100);
        await node.SettleAsync(more, input: 130);
        await node.HealAsync();
        Assert.Equal(600 - 40 - 130 - 10, await RemainingAsync(other, caller, input: 10));
    }

    [Fact]
    public async Task Concurrency_EndedDuringAHang_IsFreeWhenRedisIsBack()
    {
        var (node, other) = (await NodeAsync(), await NodeAsync());
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 4 });
        var calls = new List<GatewayCall>();
        for (var i = 0; i < 4; i++) calls.Add((await node.ReserveAsync(caller)).Call);
        _redis.Suspend();
        try
        {
            // One is sent to a Redis that hangs, the others are not.
            foreach (var call in calls) await node.SettleAsync(call);
            Assert.False(node.Circuit.IsAvailable);
        }
        finally
        {
            _redis.Continue();
        }
        await node.HealAsync();
        Assert.Equal(4, await other.ReserveAllAsync(caller));
    }

    [Fact]
    public async Task Concurrency_RefusedHereAfterRedisTookIt_IsFreeWhenRedisIsBack()
    {
        var node = await NodeAsync(StoreFailurePolicy.Reject);
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 1 });
        _redis.Suspend();
        try
        {
            Assert.NotNull((await node.ReserveAsync(caller)).Error);
        }
        finally
        {
            _redis.Continue();
        }
        await node.HealAsync();
        Assert.Null((await node.ReserveAsync(caller)).Error);
    }

    [Fact]
    public async Task Report_SentTwice_CountsOnce()
    {
        var node = await NodeAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 600 });
        var (call, _) = await node.ReserveAsync(caller, input: 100);
        var rate = ((AppliedLimits)call.Limits!).Rates[0].Identity;
        for (var i = 0; i < 2; i++) await node.Store.AddAsync(new RateUse(rate, 600, 200, "node:1"));
        Assert.Equal(290, await RemainingAsync(node, caller, input: 10));
    }

    [Fact]
    public async Task Usage_BetweenTheReportAndTheHeal_IsReportedByTheNextHeartbeat()
    {
        var (node, other) = (await NodeAsync(), await NodeAsync());
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60 });
        node.Fail();
        Assert.Equal(5, await node.ReserveAllAsync(caller, 5));
        // Without a report.
        Assert.True(node.Circuit.Close(2, node.Circuit.Outages));
        await node.BeatAsync();
        Assert.Equal(54, await RemainingAsync(other, caller));
    }

    [Fact]
    public async Task Healed_BeforeTheNextReply_ShowsTheWholeLimit()
    {
        var (node, _) = (await NodeAsync(), await NodeAsync());
        await node.BeatAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60, ConcurrentGenerations = 10 });
        node.Fail();
        var (call, _) = await node.ReserveAsync(caller);
        Assert.Equal([30L, 5L], call.Limits!.Read().Select(state => state.Limit));
        await node.HealAsync();
        Assert.Equal([60L, 10L], call.Limits!.Read().Select(state => state.Limit));
    }

    [Fact]
    public async Task Reply_OfBeforeTheOutage_DoesNotRestoreTheWholeLimit()
    {
        var (node, _) = (await NodeAsync(), await NodeAsync());
        await node.BeatAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60 });
        var before = node.Circuit.Outages;
        node.Fail();
        Assert.Equal(30, await node.ReserveAllAsync(caller));
        var (refused, _) = await node.ReserveAsync(caller);
        var limits = (AppliedLimits)refused.Limits!;
        var late = new RateReply(IsTaken: true, [0]) { Sequence = 1000 };
        SharedCounters.Show(limits, late, node.Circuit, before);
        var reservation = new TokenReservation(caller, "m", CallClasses.Standard, _time.GetUtcNow());
        Assert.False(SharedCounters.TryTake(reservation, limits, new LimitAmounts(), late, node.Circuit, before, out _));
        Assert.Null(reservation.Rates);
        Assert.Equal((30L, 0L), (limits.Read()[0].Limit, limits.Read()[0].Remaining));
        Assert.NotNull((await node.ReserveAsync(caller)).Error);
    }

    [Fact]
    public async Task RefusedByRate_ManyTimes_LeasesNoMoreOfABudget()
    {
        var node = await NodeAsync();
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1000 }, key: new LimitSet { RequestsPerMinute = 1 });
        var (call, _) = await node.ReserveAsync(caller);
        var period = ((AppliedLimits)call.Limits!).Budgets[0].At(_time.GetUtcNow());
        var clock = new LimitClock(_time);
        for (var i = 0; i < 20; i++) Assert.NotNull((await node.ReserveAsync(caller)).Error);
        // Nothing was reserved since the last slice was leased.
        Assert.Equal((0L, 20L), (period.Forecast(0, clock, _time.GetTimestamp()), period.Held));
    }

    private async Task<RedisNode> NodeAsync(StoreFailurePolicy policy = StoreFailurePolicy.Local)
    {
        var node = await RedisNode.StartAsync(_redis, _time, policy);
        _nodes.Add(node);
        return node;
    }

    /// <summary>What a call leaves of the only limit.</summary>
    private static async Task<long> RemainingAsync(RedisNode node, Caller caller, long input = 10)
    {
        var (call, error) = await node.ReserveAsync(caller, input: input);
        Assert.Null(error);
        return call.Limits!.Read()[0].Remaining;
    }
}

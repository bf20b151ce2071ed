using System.Collections.Concurrent;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Pipeline;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging;

namespace Fairlead.Tests.Limits.Redis;

/// <summary>Several nodes that share rates and concurrency, and a Redis that hangs, dies, or forgets.</summary>
public sealed class RedisRatesTests : IAsyncDisposable
{
    private static readonly LimitSet Concurrent = new() { ConcurrentGenerations = 4 };

    private readonly PrivateRedis _redis = PrivateRedis.Start();
    private readonly LimitTime _time = new();
    private readonly List<RedisNode> _nodes = [];
    private readonly LogLines _log = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static readonly TimeSpan BeyondLease = RedisRateStore.Lease + TimeSpan.FromSeconds(1);

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _nodes) await node.DisposeAsync();
        _redis.Dispose();
    }

    [Fact]
    public async Task Rate_ThreeNodes_IsCountedTogether()
    {
        var nodes = await NodesAsync(3);
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60 });
        var served = await Task.WhenAll(nodes.Select(node => node.ReserveAllAsync(caller)));
        Assert.Equal(60, served.Sum());
        foreach (var node in nodes)
        {
            var (refused, error) = await node.ReserveAsync(caller);
            Assert.Equal(TimeSpan.FromSeconds(1), error!.RetryAfter);
            Assert.Equal((60L, 0L), (refused.Limits!.Read()[0].Limit, refused.Limits.Read()[0].Remaining));
        }
        RedisNode.Advance(_time, TimeSpan.FromSeconds(1));
        Assert.Null((await nodes[1].ReserveAsync(caller)).Error);
        Assert.NotNull((await nodes[2].ReserveAsync(caller)).Error);
    }

    [Fact]
    public async Task Rate_DebtOfAnotherNode_IsPaidFirst()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: new LimitSet { OutputTokensPerMinute = 60 });
        var (call, _) = await nodes[0].ReserveAsync(caller, max: 60);
        await nodes[0].SettleAsync(call, output: 120);
        Assert.Equal(TimeSpan.FromSeconds(70), (await nodes[1].ReserveAsync(caller, max: 10)).Error!.RetryAfter);
    }

    [Fact]
    public async Task Rate_CapacityBeyondExactNumbers_AdmitsItsAmount()
    {
        var nodes = await NodesAsync(1);
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 1_000_000_000_000_000, Burst = 60 });
        for (var i = 0; i < 60; i++) Assert.Null((await nodes[0].ReserveAsync(caller, input: 999_000_000_000_000)).Error);
        var (_, error) = await nodes[0].ReserveAsync(caller, input: 999_000_000_000_000);
        RedisNode.Advance(_time, error!.RetryAfter!.Value);
        Assert.Null((await nodes[0].ReserveAsync(caller, input: 999_000_000_000_000)).Error);
    }

    [Fact]
    public async Task Rate_ClockOfRedisSetBack_RefillsFromThereOn()
    {
        var ahead = 3_600_000_000L;
        var node = await RedisNode.StartAsync(_redis, _time, clock: () => (_time.GetTimestamp() / TimeSpan.TicksPerMicrosecond) + ahead);
        _nodes.Add(node);
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60 });
        Assert.Equal(60, await node.ReserveAllAsync(caller));
        ahead = 0;
        Assert.NotNull((await node.ReserveAsync(caller)).Error);
        RedisNode.Advance(_time, TimeSpan.FromSeconds(2));
        Assert.Equal(2, await node.ReserveAllAsync(caller));
    }

    [Fact]
    public async Task Rate_ThatIsFullAgain_IsForgottenByRedis()
    {
        var node = (await NodesAsync(1))[0];
        await node.ReserveAsync(LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60, ConcurrentGenerations = 1 }));
        var keys = (string[])(await node.ExecuteAsync("KEYS", "*"))!;
        Assert.Equal(3, keys.Length);
        foreach (var key in keys) Assert.InRange((long)await node.ExecuteAsync("PTTL", key), 1, 61_000);
        // All of one organization in one hash slot.
        Assert.All(keys.Where(key => key != "fairlead:nodes"), key => Assert.StartsWith("fairlead:{org_1}:", key, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Scripts_ThatRedisForgot_AreLoadedAgain()
    {
        var node = (await NodesAsync(1))[0];
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 2 });
        Assert.Null((await node.ReserveAsync(caller)).Error);
        await node.ExecuteAsync("SCRIPT", "FLUSH");
        Assert.Null((await node.ReserveAsync(caller)).Error);
        Assert.Equal(ErrorCode.RateLimitExceeded, (await node.ReserveAsync(caller)).Error!.Code);
        Assert.True(node.Circuit.IsAvailable);
    }

    [Fact]
    public async Task Concurrency_NodeThatDied_EndsWithItsLease()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: Concurrent);
        Assert.Equal(4, await nodes[0].ReserveAllAsync(caller));
        Assert.NotNull((await nodes[1].ReserveAsync(caller)).Error);
        RedisNode.Advance(_time, BeyondLease);
        Assert.Equal(4, await nodes[1].ReserveAllAsync(caller));
    }

    [Fact]
    public async Task Concurrency_NodeThatBeats_KeepsItsCalls()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: Concurrent);
        var (first, _) = await nodes[0].ReserveAsync(caller);
        Assert.Equal(3, await nodes[0].ReserveAllAsync(caller));
        for (var i = 0; i < 10; i++)
        {
            RedisNode.Advance(_time, RedisHeartbeat.Interval);
            await nodes[0].BeatAsync();
        }
        Assert.NotNull((await nodes[1].ReserveAsync(caller)).Error);
        await nodes[0].SettleAsync(first);
        Assert.Equal(1, await nodes[1].ReserveAllAsync(caller));
        // The limit is shown with the calls of both nodes.
        Assert.Equal(4, (await nodes[1].ReserveAsync(caller)).Call.Limits!.Read()[0].Reserved);
    }

    [Fact]
    public async Task Concurrency_NodeThatComesBackAfterItsLease_RegistersItsCallsAgain()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: Concurrent);
        Assert.Equal(4, await nodes[0].ReserveAllAsync(caller));
        RedisNode.Advance(_time, BeyondLease);
        Assert.Null((await nodes[1].ReserveAsync(caller)).Error);
        await nodes[0].BeatAsync();
        var (refused, error) = await nodes[1].ReserveAsync(caller);
        Assert.NotNull(error);
        Assert.Equal(5, refused.Limits!.Read()[0].Reserved);
    }

    [Fact]
    public async Task Flush_NextHeartbeat_RestoresConcurrency()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: Concurrent);
        Assert.Equal(4, await nodes[0].ReserveAllAsync(caller));
        await nodes[1].ExecuteAsync("FLUSHALL");
        await nodes[0].BeatAsync();
        Assert.NotNull((await nodes[1].ReserveAsync(caller)).Error);
    }

    [Fact]
    public async Task Flush_Budget_IsNotExceeded()
    {
        var node = (await NodesAsync(1))[0];
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 60 }, key: new LimitSet { RequestsPerMinute = 100 });
        Assert.Equal(3, await node.ReserveAllAsync(caller));
        await node.ExecuteAsync("FLUSHALL");
        Assert.Equal(ErrorCode.BudgetExceeded, (await node.ReserveAsync(caller)).Error!.Code);
    }

    [Fact]
    public async Task Hanging_FirstCallWaitsShortlyAndTheNextNotAtAll()
    {
        var node = (await NodesAsync(1))[0];
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 10 });
        Assert.Null((await node.ReserveAsync(caller)).Error);
        _redis.Suspend();
        try
        {
            var since = TimeProvider.System.GetTimestamp();
            Assert.Null((await node.ReserveAsync(caller)).Error);
            // The wait is 0.2 to 0.3 s; this machine may be slow.
            Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(3));
            Assert.False(node.Circuit.IsAvailable);
            var reserving = node.Ledger.ReserveAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf()), ReservationParts.All, Cancel).AsTask();
            Assert.True(reserving.IsCompletedSuccessfully);
        }
        finally
        {
            _redis.Continue();
        }
        await node.HealAsync();
        Assert.Equal(["RedisAvailable", "RedisUnavailable", "RedisAvailable"], _log.Names);
    }

    [Fact]
    public async Task Unavailable_ThreeNodes_EachHasItsShare()
    {
        var nodes = await NodesAsync(3);
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60, ConcurrentGenerations = 100 });
        _redis.Stop();
        foreach (var node in nodes)
        {
            Assert.Equal(20, await node.ReserveAllAsync(caller));
            var (refused, error) = await node.ReserveAsync(caller);
            Assert.Equal((ErrorCode.RateLimitExceeded, TimeSpan.FromSeconds(3)), (error!.Code, error.RetryAfter));
            // The headers show what is enforced.
            Assert.Equal((20L, 33L), (refused.Limits!.Read()[0].Limit, refused.Limits.Read()[1].Limit));
        }
        RedisNode.Advance(_time, TimeSpan.FromSeconds(3));
        foreach (var node in nodes) Assert.Equal(1, await node.ReserveAllAsync(caller));
        Assert.Equal(3, _log.Names.Count(name => name == "RedisUnavailable"));
    }

    [Fact]
    public async Task Unavailable_WhatWasUsedBefore_CountsInTheShare()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60 });
        for (var i = 0; i < 40; i++) Assert.Null((await nodes[i % 2].ReserveAsync(caller)).Error);
        _redis.Stop();
        // Half of the 20 that remain, or of 21 for the node that did not see the last call.
        Assert.Equal(10, await nodes[0].ReserveAllAsync(caller));
        Assert.Equal(10, await nodes[1].ReserveAllAsync(caller));
    }

    [Fact]
    public async Task Unavailable_CallLargerThanTheShare_IsServedWhenTheShareIsFull()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 600 });
        _redis.Stop();
        Assert.Null((await nodes[0].ReserveAsync(caller, input: 500)).Error);
        var (_, error) = await nodes[0].ReserveAsync(caller, input: 500);
        // 500 at 300 a minute.
        Assert.Equal(TimeSpan.FromSeconds(100), error!.RetryAfter);
        RedisNode.Advance(_time, TimeSpan.FromSeconds(100));
        Assert.Null((await nodes[0].ReserveAsync(caller, input: 500)).Error);
        Assert.False((await nodes[0].ReserveAsync(caller, input: 601)).Error!.IsRetryable);
    }

    [Fact]
    public async Task Unavailable_Reject_RefusesCallsWithRatesOnly()
    {
        var node = await RedisNode.StartAsync(_redis, _time, StoreFailurePolicy.Reject);
        _nodes.Add(node);
        _redis.Stop();
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 }, key: new LimitSet { RequestsPerMinute = 60 });
        for (var i = 0; i < 2; i++)
        {
            var (call, error) = await node.ReserveAsync(caller);
            Assert.Equal((ErrorCode.StoreUnavailable, TimeSpan.FromSeconds(5)), (error!.Code, error.RetryAfter));
            Assert.Null(call.Reservation);
        }
        Assert.Equal((0, 0L), (node.Ledger.Totals().Open, node.Ledger.Totals().HeldTokens));
        Assert.Null((await node.ReserveAsync(LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 }))).Error);
        _redis.Resume();
        await node.HealAsync();
        Assert.Null((await node.ReserveAsync(caller)).Error);
    }

    [Fact]
    public async Task Restarted_NodesRegisterWhatTheyHoldAndUsed()
    {
        var nodes = await NodesAsync(2);
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60, ConcurrentGenerations = 10 });
        var (before, _) = await nodes[0].ReserveAsync(caller);
        _redis.Stop();
        var (during, _) = await nodes[0].ReserveAsync(caller);
        Assert.Equal(4, await nodes[1].ReserveAllAsync(caller, 4));
        // It ends while Redis is unavailable.
        await nodes[0].SettleAsync(before);
        _redis.Resume();
        foreach (var node in nodes) await node.HealAsync();
        var (call, error) = await nodes[0].ReserveAsync(caller);
        Assert.Null(error);
        var states = call.Limits!.Read();
        // One that was reserved before is forgotten with Redis; five were reserved meanwhile.
        Assert.Equal(54, states.Single(state => state.Name == LimitName.RequestsPerMinute).Remaining);
        Assert.Equal(6, states.Single(state => state.Name == LimitName.ConcurrentGenerations).Reserved);
        await nodes[0].SettleAsync(during);
        Assert.Equal(5, (await nodes[1].ReserveAsync(LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60, ConcurrentGenerations = 5 })))
            .Call.Limits!.Read().Single(state => state.Name == LimitName.ConcurrentGenerations).Reserved);
    }

    [Fact]
    public async Task Starting_WithoutRedis_ServesAndJoinsLater()
    {
        _redis.Stop();
        var node = new RedisNode(_redis, _time, logger: _log);
        _nodes.Add(node);
        await node.BeatAsync();
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60 });
        Assert.Null((await node.ReserveAsync(caller)).Error);
        _redis.Resume();
        await node.HealAsync();
        Assert.Equal(58, (await node.ReserveAsync(caller)).Call.Limits!.Read()[0].Remaining);
        Assert.Equal(["RedisUnavailable", "RedisAvailable"], _log.Names);
    }

    private async Task<RedisNode[]> NodesAsync(int count)
    {
        var nodes = new RedisNode[count];
        for (var i = 0; i < count; i++)
        {
            nodes[i] = await RedisNode.StartAsync(_redis, _time, logger: _log);
            _nodes.Add(nodes[i]);
        }
        // Now each of them knows all.
        foreach (var node in nodes) await node.BeatAsync();
        Assert.All(nodes, node => Assert.Equal(count, node.Circuit.Nodes));
        return nodes;
    }

    private sealed class LogLines : ILogger<RedisCircuit>
    {
        private readonly ConcurrentQueue<string> _names = new();

        public IEnumerable<string> Names => _names;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            _names.Enqueue(eventId.Name!);
    }
}

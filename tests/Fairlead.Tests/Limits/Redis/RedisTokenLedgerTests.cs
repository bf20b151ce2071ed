using Fairlead.Access;
using Fairlead.Limits;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits.Redis;

/// <summary>The contract of ledgers, with rates and concurrency in a real Redis.</summary>
public sealed class RedisTokenLedgerTests : TokenLedgerContract, IAsyncLifetime
{
    private readonly PrivateRedis _redis = PrivateRedis.Start();
    private readonly LimitTime _time = new();
    private RedisNode _node = null!;

    private protected override ITokenLedger Ledger => _node.Ledger;

    private protected override TimeProvider Time => _time;

    public async ValueTask InitializeAsync() => _node = await RedisNode.StartAsync(_redis, _time);

    public async ValueTask DisposeAsync()
    {
        // Every reservation was decided in Redis.
        Assert.True(_node.Circuit.IsAvailable);
        await _node.DisposeAsync();
        _redis.Dispose();
    }

    [Fact]
    public async Task Reserve_CallsWithoutRates_AreImmediate()
    {
        _redis.Suspend();
        var call = LimitCalls.Of(_time, LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1000 }), Model);
        await Ledger.ReserveAsync(LimitCalls.Of(_time, LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1000 }), Model), ReservationParts.All, Cancel);
        Assert.True(Ledger.ReserveAsync(call, ReservationParts.All, Cancel).AsTask().IsCompletedSuccessfully);
        _redis.Continue();
    }

    [Fact]
    public async Task Reserve_RefusedByRate_ReleasesBudgets()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 }, key: new LimitSet { RequestsPerMinute = 1 });
        var (first, _) = await ReserveAsync(caller);
        var (refused, error) = await ReserveAsync(caller);
        Assert.Equal("requests_per_minute", error!.Details!["name"]!.GetValue<string>());
        Assert.Null(refused.Reservation);
        Assert.Equal(20, first.Limits!.Read().Single(state => state.Name == LimitName.TokensPerDay).Reserved);
        Assert.Equal((1, 20L), (_node.Ledger.Totals().Open, _node.Ledger.Totals().HeldTokens));
    }

    [Fact]
    public async Task Reserve_RefusedByBudget_TakesNoRate()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 20 }, key: new LimitSet { RequestsPerMinute = 5, ConcurrentGenerations = 5 });
        var (first, _) = await ReserveAsync(caller);
        Assert.Equal("tokens_per_day", (await ReserveAsync(caller)).Error!.Details!["name"]!.GetValue<string>());
        await using var other = await RedisNode.StartAsync(_redis, _time);
        Assert.Equal(4, await other.ReserveAllAsync(LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 5, ConcurrentGenerations = 5 })));
        Assert.NotNull(first.Reservation);
    }

    private protected override async Task AdvanceAsync(TimeSpan time)
    {
        await _node.Rates.Settled;
        RedisNode.Advance(_time, time);
    }
}

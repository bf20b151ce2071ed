using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Limits.Elastic;

/// <summary>Elastic limits at the reservation: what is in force, what does not move, and what readers see.</summary>
public sealed class ElasticLimitTests
{
    private static readonly CatalogueModel Model = LimitCalls.ModelOf();

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
    private readonly LimitAccounts _accounts;
    private readonly InMemoryTokenLedger _ledger;

    public ElasticLimitTests()
    {
        _accounts = new LimitAccounts(_time);
        _ledger = new InMemoryTokenLedger(_accounts, new ProcessBudgetLeases(_time), new OutputHistories(), null);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(-1, 25)]
    [InlineData(-0.5, 62)]
    [InlineData(0, 100)]
    [InlineData(0.5, 150)]
    [InlineData(1, 200)]
    public async Task Reserve_ElasticRate_AdmitsTheValueInForce(double level, int admitted)
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 100, Elastic = ElasticRange.Default });
        await ReserveAsync(caller);
        _time.Advance(TimeSpan.FromMinutes(1));
        Set(level);
        var (last, count) = await FillAsync(caller);
        Assert.Equal(admitted, count);
        var state = last.Limits!.Read().Single();
        Assert.Equal((admitted, 100L, 0L), (state.Limit, state.Base, state.Remaining));
        // It refills at the same pace: one share of it after that share of a minute.
        _time.Advance(TimeSpan.FromSeconds(60.0 / admitted) + TimeSpan.FromTicks(1));
        Assert.Null((await ReserveAsync(caller)).Error);
        Assert.NotNull((await ReserveAsync(caller)).Error);
    }

    [Theory]
    [InlineData(-1, 2)]
    [InlineData(1, 16)]
    public async Task Reserve_ElasticConcurrency_AdmitsTheValueInForce(double level, int admitted)
    {
        var caller = LimitCalls.CallerOf(project: new LimitSet { ConcurrentGenerations = 8, Elastic = ElasticRange.Default });
        var (first, _) = await ReserveAsync(caller);
        Settle(first);
        Set(level);
        Assert.Equal(admitted, (await FillAsync(caller)).Count);
    }

    [Fact]
    public async Task Reserve_Shrunk_NeverBelowOne()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { ConcurrentGenerations = 2, Elastic = new ElasticRange(0.01m, 1) });
        var (first, _) = await ReserveAsync(caller);
        Settle(first);
        Set(-1);
        Assert.Equal(1, (await FillAsync(caller)).Count);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task Reserve_LimitsThatAreNotElastic_DoNotMove(double level)
    {
        var caller = LimitCalls.CallerOf(
            organization: new LimitSet { RequestsPerMinute = 1000, Elastic = ElasticRange.Default },
            project: new LimitSet { RequestsPerMinute = 10 },
            key: new LimitSet { ConcurrentGenerations = 50, Elastic = new ElasticRange(1, 1) });
        var (first, _) = await ReserveAsync(caller);
        Settle(first);
        _time.Advance(TimeSpan.FromMinutes(1));
        Set(level);
        var (last, count) = await FillAsync(caller);
        Assert.Equal(10, count);
        var states = last.Limits!.Read();
        Assert.Equal((10L, (long?)null), Of(states, LimitScope.Project));
        Assert.Equal((50L, (long?)null), Of(states, LimitScope.Key));
        Assert.Equal((level < 0 ? 250L : 2000L, (long?)1000), Of(states, LimitScope.Organization));

        static (long, long?) Of(LimitState[] states, LimitScope scope) => states.Where(state => state.Scope == scope).Select(state => (state.Limit, state.Base)).Single();
    }

    [Fact]
    public async Task Reserve_ElasticBudgets_DoNotMove()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100, RequestsPerMinute = 1000, Elastic = ElasticRange.Default });
        await ReserveAsync(caller);
        Set(-1);
        Assert.Equal(4, (await FillAsync(caller)).Count);
        Assert.Equal((100L, (long?)null), _accounts.StatesOf(caller).Where(state => state.Name == LimitName.TokensPerDay).Select(state => (state.Limit, state.Base)).Single());
    }

    /// <summary>Bulk shrinks while realtime keeps its own, also in one shared bucket.</summary>
    [Fact]
    public async Task Reserve_SharedByClasses_ShrinksTheLowerClassFirst()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 100, Elastic = ElasticRange.Default });
        foreach (var name in CallClasses.All) await ReserveAsync(caller, name);
        _time.Advance(TimeSpan.FromMinutes(1));
        _accounts.Elastic.Of(Model.Id, CallClasses.Bulk).Position = -1;
        Assert.Equal(25, (await FillAsync(caller, CallClasses.Bulk)).Count);
        Assert.Equal(75, (await FillAsync(caller, CallClasses.Realtime)).Count);
    }

    /// <summary>
    /// Calls of a class that has shrunk do not slow down the bucket of those that have not, whichever comes last; alone they do.
    /// </summary>
    [Fact]
    public async Task Reserve_SharedByClasses_RefillsForTheClassThatHasNotShrunk()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 60, Elastic = ElasticRange.Default });
        _accounts.Elastic.Of(Model.Id, CallClasses.Bulk).Position = -1;
        await FillAsync(caller, CallClasses.Realtime);
        var (realtime, bulk) = (0, 0);
        for (var i = 0; i < 600; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            if ((await ReserveAsync(caller, CallClasses.Realtime)).Error is null) realtime++;
            if ((await ReserveAsync(caller, CallClasses.Bulk)).Error is null) bulk++;
        }
        Assert.Equal((60, 0), (realtime, bulk));

        // Bulk alone gets its quarter, once the others have been quiet for a while and what they used has refilled.
        for (var i = 0; i < 1500; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(200));
            await ReserveAsync(caller, CallClasses.Bulk);
        }
        for (var i = 0; i < 1200; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            if ((await ReserveAsync(caller, CallClasses.Bulk)).Error is null) bulk++;
        }
        Assert.InRange(bulk, 29, 31);
    }

    /// <summary>A request that fits into the declared limit is not refused for good because the limit shrank.</summary>
    [Fact]
    public async Task Reserve_RequestLargerThanShrunkLimit_PassesWhenFullAndLeavesDebt()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 1000, Elastic = ElasticRange.Default });
        await ReserveAsync(caller);
        _time.Advance(TimeSpan.FromMinutes(1));
        Set(-1);
        Assert.Null((await ReserveAsync(caller, input: 800)).Error);
        var (_, error) = await ReserveAsync(caller, input: 800);
        // 800 of 250 are missing, all of which refills in a minute.
        Assert.Equal((ErrorCode.RateLimitExceeded, true), (error!.Code, error.IsRetryable));
        Assert.Equal(TimeSpan.FromSeconds(192), error.RetryAfter);
        Assert.True(error.Details!["estimated"]!.GetValue<bool>());
        _time.Advance(error.RetryAfter!.Value);
        Assert.Null((await ReserveAsync(caller, input: 800)).Error);
        Assert.Null((await ReserveAsync(caller, input: 1001)).Error?.RetryAfter);
    }

    [Fact]
    public async Task States_ReadWithoutCall_ShowTheValueInForce()
    {
        var model = LimitCalls.ModelOf(limits: new LimitSet { RequestsPerMinute = 40, Elastic = ElasticRange.Default });
        var caller = LimitCalls.CallerOf();
        await ReserveAsync(caller, model: model);
        Assert.Equal((40L, (long?)40), Read());
        Set(-1);
        Assert.Equal((10L, (long?)40), Read());
        Set(1);
        Assert.Equal((80L, (long?)40), Read());

        (long, long?) Read()
        {
            var state = _accounts.StatesOf(LimitScope.Model, "org_1", "org_1", model.Id, model.Limits).Single();
            return (state.Limit, state.Base);
        }
    }

    [Fact]
    public async Task Reserve_ElasticLimit_AllocatesNoMoreThanAnotherOne()
    {
        var elastic = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 1_000_000, Elastic = ElasticRange.Default });
        await ReserveAsync(elastic);
        var limits = _accounts.Of(elastic, Model, CallClasses.Standard);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            _accounts.Elastic.Of(Model.Id, CallClasses.Standard).Position = i % 2;
            limits.Adapt();
        }
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private void Set(double level)
    {
        foreach (var name in CallClasses.All) _accounts.Elastic.Of(Model.Id, name).Position = level;
    }

    private async Task<(GatewayCall Last, int Count)> FillAsync(Caller caller, string @class = CallClasses.Standard)
    {
        for (var count = 0; ; count++)
        {
            var (call, error) = await ReserveAsync(caller, @class);
            if (error is not null) return (call, count);
        }
    }

    private async Task<(GatewayCall Call, GatewayError? Error)> ReserveAsync(Caller caller, string @class = CallClasses.Standard, long input = 10, CatalogueModel? model = null)
    {
        var call = LimitCalls.Of(_time, caller, model ?? Model, input, @class: @class);
        return (call, await _ledger.ReserveAsync(call, ReservationParts.All, Cancel));
    }

    private void Settle(GatewayCall call) => _ledger.Settle(call.Reservation!, new Usage(10, 10), new Cost(0, Basis.Measured));
}

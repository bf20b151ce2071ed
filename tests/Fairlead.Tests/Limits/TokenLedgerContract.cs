using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Limits;

/// <summary>What every ledger does with rates and concurrency, wherever it counts them.</summary>
public abstract class TokenLedgerContract
{
    private protected abstract ITokenLedger Ledger { get; }

    private protected abstract TimeProvider Time { get; }

    private protected static readonly CatalogueModel Model = LimitCalls.ModelOf();

    private protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Lets time pass at the place where the ledger counts.</summary>
    private protected abstract Task AdvanceAsync(TimeSpan time);

    private protected async Task<(GatewayCall Call, GatewayError? Error)> ReserveAsync(Caller caller, CatalogueModel? model = null, long input = 10, int? max = 10,
        string @class = CallClasses.Standard)
    {
        var call = LimitCalls.Of(Time, caller, model ?? Model, input, max, @class);
        return (call, await Ledger.ReserveAsync(call, ReservationParts.All, Cancel));
    }

    private protected void Settle(GatewayCall call, long input = 0, long output = 0, decimal usd = 0) =>
        Ledger.Settle(call.Reservation!, new Usage(input, output), new Cost(usd, Basis.Measured));

    [Fact]
    public async Task Reserve_RemainingThree_ServesThreeThenRefuses()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 4 });
        var (first, _) = await ReserveAsync(caller);
        Assert.Equal(3, Assert.Single(first.Limits!.Read()).Remaining);
        for (var i = 0; i < 3; i++) Assert.Null((await ReserveAsync(caller)).Error);
        var (refused, error) = await ReserveAsync(caller);
        Assert.Equal(ErrorCode.RateLimitExceeded, error!.Code);
        Assert.Null(refused.Reservation);
        Assert.Equal(0, Assert.Single(refused.Limits!.Read()).Remaining);
        Assert.Equal("requests_per_minute", error.Details!["name"]!.GetValue<string>());
        Assert.Equal("key", error.Details["scope"]!.GetValue<string>());
        Assert.False(error.Details["estimated"]!.GetValue<bool>());
    }

    [Fact]
    public async Task Reserve_AfterStatedWait_IsServed()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 7 }, project: new LimitSet { InputTokensPerMinute = 33, OutputTokensPerMinute = 1000 });
        for (var served = 0; served < 12;)
        {
            var (_, error) = await ReserveAsync(caller, input: 13);
            if (error is null) served++;
            else await AdvanceAsync(error.RetryAfter!.Value);
            if (error is not null)
            {
                Assert.Null((await ReserveAsync(caller, input: 13)).Error);
                served++;
            }
        }
    }

    [Fact]
    public async Task Reserve_Burst_MultipliesCapacityOnly()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 2, Burst = 2 });
        for (var i = 0; i < 4; i++) Assert.Null((await ReserveAsync(caller)).Error);
        Assert.Equal(TimeSpan.FromSeconds(30), (await ReserveAsync(caller)).Error!.RetryAfter);
    }

    [Fact]
    public async Task Reserve_OneOfManyLimitsUsedUp_TakesNothingOfOthers()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { RequestsPerMinute = 100, ConcurrentGenerations = 50 }, new LimitSet { InputTokensPerMinute = 1000 }, new LimitSet { OutputTokensPerMinute = 15 });
        var (served, _) = await ReserveAsync(caller);
        var before = served.Limits!.Read();
        Assert.NotNull((await ReserveAsync(caller)).Error);
        Assert.Equal(before, served.Limits!.Read());
    }

    [Fact]
    public async Task Reserve_MoreThanWholeCapacity_IsRefusedForGood()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 100 });
        var (_, error) = await ReserveAsync(caller, input: 101);
        Assert.Null(error!.RetryAfter);
        Assert.False(error.IsRetryable);
        Assert.Null((await ReserveAsync(caller, input: 100)).Error);
    }

    [Fact]
    public async Task Reserve_ExpectedOutputAboveCapacity_IsServedAndPaidAsDebt()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { OutputTokensPerMinute = 60 });
        var (call, error) = await ReserveAsync(caller, max: 120);
        Assert.Null(error);
        Settle(call, 10, 120);
        Assert.Equal(TimeSpan.FromSeconds(70), (await ReserveAsync(caller, max: 10)).Error!.RetryAfter);
    }

    [Fact]
    public async Task Concurrency_Full_RefusesWithEstimateUntilOneEnds()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 2 });
        var (first, _) = await ReserveAsync(caller);
        await ReserveAsync(caller);
        var (_, error) = await ReserveAsync(caller);
        Assert.True(error!.Details!["estimated"]!.GetValue<bool>());
        Assert.NotNull(error.RetryAfter);
        Settle(first);
        Assert.Null((await ReserveAsync(caller)).Error);
    }

    [Fact]
    public async Task Class_OwnValue_ReplacesGeneralAndIsCountedSeparately()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet
        {
            RequestsPerMinute = 2,
            Classes = new Dictionary<string, LimitSet> { [CallClasses.Bulk] = new() { RequestsPerMinute = 1 } },
        });
        Assert.Null((await ReserveAsync(caller, @class: CallClasses.Bulk)).Error);
        var (_, error) = await ReserveAsync(caller, @class: CallClasses.Bulk);
        Assert.Equal("bulk", error!.Details!["class"]!.GetValue<string>());
        // The two other classes share the general value.
        Assert.Null((await ReserveAsync(caller, @class: CallClasses.Realtime)).Error);
        Assert.Null((await ReserveAsync(caller)).Error);
        Assert.NotNull((await ReserveAsync(caller, @class: CallClasses.Realtime)).Error);
    }

    [Fact]
    public async Task ModelLimits_SeveralOrganizations_AreCountedForEach()
    {
        var model = LimitCalls.ModelOf(limits: new LimitSet { RequestsPerMinute = 1 });
        Assert.Null((await ReserveAsync(LimitCalls.CallerOf(), model)).Error);
        Assert.Null((await ReserveAsync(LimitCalls.CallerOf(organizationId: "org_2"), model)).Error);
        Assert.Null((await ReserveAsync(LimitCalls.CallerOf())).Error);
        Assert.Equal("model", (await ReserveAsync(LimitCalls.CallerOf(keyId: "key_2"), model)).Error!.Details!["scope"]!.GetValue<string>());
    }

    [Fact]
    public async Task ChangedLimit_LaterSnapshot_KeepsWhatWasUsed()
    {
        var old = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 5 });
        for (var i = 0; i < 4; i++) await ReserveAsync(old);
        var changed = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 6 });
        Assert.Null((await ReserveAsync(changed)).Error);
        Assert.Null((await ReserveAsync(changed)).Error);
        Assert.NotNull((await ReserveAsync(changed)).Error);
        // A call that was authenticated before does not bring the old value back.
        Assert.NotNull((await ReserveAsync(old)).Error);
        Assert.Equal(6, (await ReserveAsync(changed)).Call.Limits!.Read().Single().Limit);
    }

    /// <summary>Kinds of ends are data: what was used, and what it cost.</summary>
    public static TheoryData<string, long, long, decimal> Ends => new()
    {
        { "finished", 10, 8, 0.000008m },
        { "length", 10, 10, 0.00001m },
        { "failed over, both attempts charged", 20, 12, 0.000012m },
        { "truncated", 10, 3, 0.000003m },
        { "client left", 10, 1, 0.000001m },
        { "refused by the provider", 0, 0, 0 },
        { "cancelled before it was sent", 0, 0, 0 },
        { "cached", 10, 8, 0 },
        { "coalesced", 10, 8, 0 },
        { "rescued, the first part paid elsewhere", 10, 4, 0.000004m },
        { "more than was expected", 10, 500, 0.0005m },
    };

    [Theory]
    [MemberData(nameof(Ends))]
    public async Task Settle_AnyEnd_ReplacesReservationOnce(string end, long input, long output, decimal usd)
    {
        var limits = new LimitSet
        {
            RequestsPerMinute = 10, InputTokensPerMinute = 1000, OutputTokensPerMinute = 1000, ConcurrentGenerations = 5,
            TokensPerDay = 10_000, PicoUsdPerDay = Money.ToPico(1),
        };
        var (call, error) = await ReserveAsync(LimitCalls.CallerOf(limits, limits, limits), LimitCalls.ModelOf(outputPrice: 1));
        Assert.Null(error);
        for (var i = 0; i < 2; i++)
        {
            Settle(call, input, output, usd);
            foreach (var state in call.Limits!.Read())
            {
                Assert.Equal(0, state.Reserved);
                var used = state.Name switch
                {
                    LimitName.RequestsPerMinute => 1,
                    LimitName.InputTokensPerMinute => input,
                    LimitName.OutputTokensPerMinute => output,
                    LimitName.TokensPerDay => input + output,
                    LimitName.UsdPerDay => Money.ToPico(usd),
                    _ => 0,
                };
                Assert.True(used == state.Used, $"{end}: {state}");
            }
        }
    }
}

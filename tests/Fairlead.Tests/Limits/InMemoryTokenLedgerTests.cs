using Fairlead.Tests.Common;
using System.Data.Common;
using CsCheck;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Limits;

/// <summary>The ledger in memory: the contract, and budgets.</summary>
public sealed class InMemoryTokenLedgerTests : TokenLedgerContract
{
    private const long Pico = 1_000_000; // Of a token at a dollar a million.
    private readonly LimitTime _time = new();
    private readonly LimitAccounts _accounts;
    private readonly OutputHistories _histories = new();
    private readonly FakeLeases _leases;
    private readonly FakeCallers _callers = new();
    private readonly InMemoryTokenLedger _ledger;

    public InMemoryTokenLedgerTests()
    {
        _accounts = new LimitAccounts(_time);
        _leases = new FakeLeases(new ProcessBudgetLeases(_time));
        _ledger = new InMemoryTokenLedger(_accounts, _leases, _histories, _callers);
    }

    private protected override ITokenLedger Ledger => _ledger;

    private protected override TimeProvider Time => _time;

    private protected override Task AdvanceAsync(TimeSpan time)
    {
        _time.Advance(time);
        return Task.CompletedTask;
    }

    [Fact]
    public async Task Budget_WorstCases_AreServedUntilItIsUsedUp()
    {
        var model = LimitCalls.ModelOf(outputPrice: 1);
        var caller = LimitCalls.CallerOf(new LimitSet { PicoUsdPerDay = 35 * Pico });
        for (var i = 0; i < 3; i++) Assert.Null((await ReserveAsync(caller, model)).Error);
        var (call, error) = await ReserveAsync(caller, model);
        Assert.Equal(ErrorCode.BudgetExceeded, error!.Code);
        Assert.Equal("insufficient_quota", error.OpenAiCode);
        Assert.True(error.IsRetryable);
        Assert.Equal(TimeSpan.FromHours(12), error.RetryAfter);
        Assert.Equal(0.00003m, error.Details!["reserved"]!.GetValue<decimal>());
        Assert.Equal("2026-12-01T00:00:00.000Z", error.Details["resets_at"]!.GetValue<string>());
        // Less still fits.
        Assert.Null((await ReserveAsync(caller, model, max: 5)).Error);
        _time.Advance(error.RetryAfter!.Value);
        Assert.Null((await ReserveAsync(caller, model)).Error);
        Assert.Equal(10 * Pico, Assert.Single(call.Limits!.Read()).Reserved);
    }

    [Fact]
    public async Task Budget_SmallerThanOneCall_IsRefusedForGood()
    {
        var (_, error) = await ReserveAsync(LimitCalls.CallerOf(new LimitSet { TokensPerDay = 19 }));
        Assert.Equal(ErrorCode.BudgetExceeded, error!.Code);
        Assert.Null(error.RetryAfter);
    }

    [Fact]
    public async Task Budget_SettledBelowWorstCase_FreesTheRest()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { TokensPerDay = 20 });
        var (call, _) = await ReserveAsync(caller);
        Assert.NotNull((await ReserveAsync(caller)).Error);
        Settle(call, 5, 5);
        Assert.NotNull((await ReserveAsync(caller)).Error);
        Assert.Null((await ReserveAsync(caller, input: 5, max: 5)).Error);
    }

    [Fact]
    public async Task Budget_CallThatEndsAfterMidnight_BelongsToItsDay()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 20, TokensPerMonth = 1000 });
        var (old, _) = await ReserveAsync(caller);
        _time.Advance(TimeSpan.FromHours(12));
        // Another month, too.
        Assert.Null((await ReserveAsync(caller)).Error);
        Settle(old, 10, 10);
        Assert.NotNull((await ReserveAsync(caller)).Error);
        // The clock jumps back: calls belong to the earlier day again, which is used up.
        _time.Jump(TimeSpan.FromHours(-3));
        var (refused, error) = await ReserveAsync(caller);
        Assert.Equal("tokens_per_day", error!.Details!["name"]!.GetValue<string>());
        Assert.Equal((20, 20), (refused.Limits!.Read()[0].Used, refused.Limits!.Read()[1].Used));
    }

    [Fact]
    public async Task Budget_OpenMaximum_IsCappedToTheRest()
    {
        var model = LimitCalls.ModelOf(outputPrice: 1);
        var caller = LimitCalls.CallerOf(new LimitSet { PicoUsdPerDay = 100 * Pico, TokensPerDay = 10_000 });
        var (call, error) = await ReserveAsync(caller, model, max: null);
        Assert.Null(error);
        Assert.Equal(100, call.OutputCap);
        Assert.Contains(call.Warnings, warning => warning.Code == "output_capped");
        Assert.Equal(100 * Pico, call.Reservation!.Amounts.Pico);
        Assert.Equal(ErrorCode.BudgetExceeded, (await ReserveAsync(caller, model, max: null)).Error!.Code);
        Settle(call, 10, 40, 0.00004m);
        Assert.Equal(60, (await ReserveAsync(caller, model, max: null)).Call.OutputCap);
    }

    [Fact]
    public async Task Extend_FurtherAttempt_ReservesItOrStopsTheCall()
    {
        var model = LimitCalls.ModelOf(outputPrice: 1);
        var caller = LimitCalls.CallerOf(new LimitSet { PicoUsdPerDay = 25 * Pico });
        var (call, _) = await ReserveAsync(caller, model);
        AddAttempt(call, 5);
        Assert.Null(await _ledger.ExtendAsync(call, Cancel));
        Assert.Equal(15 * Pico, call.Reservation!.Amounts.Pico);
        AddAttempt(call, 10);
        Assert.Null(await _ledger.ExtendAsync(call, Cancel));
        AddAttempt(call, 1);
        Assert.Equal(ErrorCode.BudgetExceeded, (await _ledger.ExtendAsync(call, Cancel))!.Code);
        Assert.True(call.StoppedByBudget);
        Settle(call, 0, 16, 0.000016m);
        Assert.Equal((16 * Pico, 0L), (call.Limits!.Read()[0].Used, call.Limits!.Read()[0].Reserved));
        // After its end, it cannot hold more.
        Assert.Null(await _ledger.ExtendAsync(call, Cancel));
        Assert.Equal(0, call.Limits!.Read()[0].Reserved);
    }

    [Fact]
    public async Task Extend_BudgetOfTheCall_StopsIt()
    {
        var call = LimitCalls.Of(_time, LimitCalls.CallerOf(), LimitCalls.ModelOf(outputPrice: 1), budget: 0.000015m);
        Assert.Null(await _ledger.ReserveAsync(call, ReservationParts.All, Cancel));
        AddAttempt(call, 5);
        Assert.Null(await _ledger.ExtendAsync(call, Cancel));
        AddAttempt(call, 1);
        Assert.NotNull(await _ledger.ExtendAsync(call, Cancel));
        Assert.True(call.StoppedByBudget);
    }

    [Fact]
    public async Task Job_AcceptedThenStarted_HoldsMoneyFirstAndRatesLater()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { RequestsPerMinute = 1, ConcurrentGenerations = 1, TokensPerDay = 50 });
        var accepted = LimitCalls.Of(_time, caller, Model);
        Assert.Null(await _ledger.ReserveAsync(accepted, ReservationParts.Money, Cancel));
        Assert.Equal((0, 0, 20), (accepted.Limits!.Read()[0].Reserved, accepted.Limits!.Read()[1].Reserved, accepted.Limits!.Read()[2].Reserved));
        Assert.Null((await ReserveAsync(caller)).Error);

        var run = LimitCalls.Of(_time, caller, Model);
        run.Reservation = accepted.Reservation;
        var refusal = await _ledger.ReserveAsync(run, ReservationParts.Rates, Cancel);
        Assert.Equal(ErrorCode.RateLimitExceeded, refusal!.Code);
        Assert.Equal(40, run.Limits!.Read()[2].Reserved);
        // A job that is cancelled before it starts used no request.
        Settle(run);
        Assert.Equal((1, 20), (run.Limits!.Read()[0].Used + run.Limits!.Read()[0].Reserved, run.Limits!.Read()[2].Reserved));
    }

    [Fact]
    public async Task Settle_LimitAddedMeanwhile_CountsTheUsage()
    {
        var (call, _) = await ReserveAsync(LimitCalls.CallerOf());
        var changed = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100, InputTokensPerMinute = 100, RequestsPerMinute = 5 });
        _callers.Change(changed);
        Settle(call, 10, 10);
        var (next, error) = await ReserveAsync(changed);
        Assert.Null(error);
        Assert.Equal((0, 10, 20), (next.Limits!.Read().Single(state => state.Name == LimitName.RequestsPerMinute).Used,
            next.Limits!.Read().Single(state => state.Name == LimitName.InputTokensPerMinute).Used, next.Limits!.Read().Single(state => state.Name == LimitName.TokensPerDay).Used));
    }

    [Fact]
    public async Task Settle_MoreThanReservedOfABudget_IsTakenFromTheSliceFirst()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 });
        var (first, _) = await ReserveAsync(caller);
        var (second, _) = await ReserveAsync(caller);
        Settle(first, 1, 1);
        // 18 tokens of the slice are free, and pay for a part of what was never reserved.
        Settle(second, 20, 20);
        Assert.Equal((42, 0, 58), UseOf(second));
        var (third, error) = await ReserveAsync(caller, input: 28, max: 30);
        Assert.Null(error);
        Assert.Equal((42, 58, 0), UseOf(third));
        Assert.Equal(ErrorCode.BudgetExceeded, (await ReserveAsync(caller, input: 1, max: 1)).Error!.Code);
    }

    [Fact]
    public async Task Read_BudgetsThatTheDatabaseWasNotAskedFor_AreLeftOut()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1000, RequestsPerMinute = 5 });
        // Refused before anything is reserved, or unavailable: how much the other nodes have used is not known.
        var refused = LimitCalls.Of(_time, caller, Model);
        refused.Limits = _accounts.Of(caller, Model, CallClasses.Standard);
        Assert.Equal(LimitName.RequestsPerMinute, Assert.Single(refused.Limits.Read()).Name);
        Assert.Equal(LimitName.RequestsPerMinute, Assert.Single(_accounts.StatesOf(caller, withUnknown: false)).Name);
        _leases.Error = new BrokenStoreException();
        var (failed, _) = await ReserveAsync(caller);
        Assert.Equal(LimitName.RequestsPerMinute, Assert.Single(failed.Limits!.Read()).Name);

        _leases.Error = null;
        var (served, _) = await ReserveAsync(caller);
        Assert.Equal([LimitName.RequestsPerMinute, LimitName.TokensPerDay], served.Limits!.Read().Select(state => state.Name));
        Assert.Equal(2, _accounts.StatesOf(caller, withUnknown: false).Count);
        // Of the next day nothing is known again.
        _time.Advance(TimeSpan.FromHours(12));
        Assert.Equal(LimitName.RequestsPerMinute, Assert.Single(_accounts.StatesOf(caller, withUnknown: false)).Name);
    }

    [Fact]
    public async Task Reserve_LongCache_IsPricedOnlyForABudgetOfMoney()
    {
        var model = LimitCalls.ModelOf(inputPrice: 1);
        var rated = LimitCalls.Of(_time, LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 5, TokensPerDay = 1000 }), model);
        var paid = LimitCalls.Of(_time, LimitCalls.CallerOf(key: new LimitSet { PicoUsdPerDay = 1000 * Pico }, keyId: "key_2"), model);
        foreach (var call in new[] { rated, paid })
        {
            call.Body = Fairlead.Streaming.PooledBuffer.Of("""{"ttl":"1h"}"""u8.ToArray());
            Assert.Null(await _ledger.ReserveAsync(call, ReservationParts.All, Cancel));
        }
        Assert.Equal(10 * Pico, rated.Reservation!.Amounts.Pico);
        Assert.Equal(16 * Pico, paid.Reservation!.Amounts.Pico);
    }

    [Fact]
    public async Task ReadHeld_RunningCallsAndJobs_ListsMoneyByKeyModelClassAndHour()
    {
        var model = LimitCalls.ModelOf(outputPrice: 1);
        var caller = LimitCalls.CallerOf(new LimitSet { PicoUsdPerDay = 1000 * Pico });
        var (first, _) = await ReserveAsync(caller, model);
        await ReserveAsync(caller, model, max: 20);
        await ReserveAsync(caller, model, max: 5, @class: CallClasses.Bulk);
        _time.Advance(TimeSpan.FromHours(1));
        var job = LimitCalls.Of(_time, caller, model);
        Assert.Null(await _ledger.ReserveAsync(job, ReservationParts.Money, Cancel));
        // Without a budget of money, nothing of one is held.
        await ReserveAsync(LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 }, organizationId: "org_2"), model);
        Assert.Equal(["standard 12 30", "standard 13 10", "bulk 12 5"], Held());

        AddAttempt(job, 7);
        await _ledger.ExtendAsync(job, Cancel);
        Settle(first, 10, 10, 0.00001m);
        Assert.Equal(["standard 12 20", "standard 13 17", "bulk 12 5"], Held());
        _accounts.Sweep();
        Assert.Equal(["standard 12 20", "standard 13 17", "bulk 12 5"], Held());
        Settle(job);
        _accounts.Sweep();
        await ReserveAsync(caller, model, max: 1);
        Assert.Equal(["standard 12 20", "standard 13 1", "bulk 12 5"], Held());

        string[] Held() => [.. _accounts.ReadHeld().OrderByDescending(one => one.Class).ThenBy(one => one.Hour)
            .Select(one => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{one.Class} {one.Hour.Hour} {one.PicoUsd / Pico}"))];
    }

    private static (long, long, long) UseOf(GatewayCall call)
    {
        var state = Assert.Single(call.Limits!.Read());
        return (state.Used, state.Reserved, state.Remaining);
    }

    [Fact]
    public async Task LoweredBelowUse_ThenRaised_RefusesUntilThereIsRoom()
    {
        var (call, _) = await ReserveAsync(LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 }));
        Settle(call, 30, 30);
        var lowered = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 50 });
        var (refused, error) = await ReserveAsync(lowered);
        Assert.Equal(ErrorCode.BudgetExceeded, error!.Code);
        Assert.Equal((50, 60, 0), (refused.Limits!.Read()[0].Limit, refused.Limits!.Read()[0].Used, refused.Limits!.Read()[0].Remaining));
        // At once, although the database said a moment ago that there was no more.
        Assert.Null((await ReserveAsync(LimitCalls.CallerOf(new LimitSet { TokensPerDay = 80 }))).Error);
        Assert.NotNull((await ReserveAsync(LimitCalls.CallerOf(new LimitSet { TokensPerDay = 80 }))).Error);
    }

    [Fact]
    public async Task Exhausted_RepeatedCalls_AskTheDatabaseOncePerSecond()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 20 });
        await ReserveAsync(caller);
        var asked = _leases.Asked;
        for (var i = 0; i < 50; i++) Assert.NotNull((await ReserveAsync(caller)).Error);
        Assert.Equal(asked + 1, _leases.Asked);
        _time.Advance(BudgetRequests.Quiet);
        Assert.NotNull((await ReserveAsync(caller)).Error);
        Assert.Equal(asked + 2, _leases.Asked);
    }

    [Fact]
    public async Task Spending_SteadyCalls_AskTheDatabaseRarely()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1_000_000_000 });
        for (var i = 0; i < 2000; i++)
        {
            Settle((await ReserveAsync(caller)).Call, 10, 10);
            _time.Advance(TimeSpan.FromMilliseconds(10));
        }
        Assert.InRange(_leases.Asked, 1, 30);
    }

    [Fact]
    public async Task Database_Unavailable_LetsNothingPassThenRecovers()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1000, RequestsPerMinute = 5 });
        _leases.Error = new BrokenStoreException();
        var (call, error) = await ReserveAsync(caller);
        Assert.Equal(ErrorCode.StoreUnavailable, error!.Code);
        Assert.Equal(0, call.Limits!.Read()[0].Reserved);
        _leases.Error = null;
        Assert.Null((await ReserveAsync(caller)).Error);
    }

    [Fact]
    public async Task Slices_UnusedAndIdle_AreTakenOutForOthers()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1000 });
        var (call, _) = await ReserveAsync(caller);
        Settle(call, 4, 4);
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Empty(_accounts.TakeIdle(TimeSpan.FromSeconds(5)));
        var (key, amount) = Assert.Single(_accounts.TakeIdle(TimeSpan.FromSeconds(3)));
        Assert.Equal(12, amount);
        Assert.Equal(new DateTimeOffset(2026, 11, 30, 0, 0, 0, TimeSpan.Zero), key.PeriodStart);
        Assert.Equal(0, _accounts.TakeUnused(key));
        _leases.Return([(key, amount)]);
        Assert.Null((await ReserveAsync(caller, input: 900, max: 92)).Error);
        Assert.Equal(0, _accounts.TakeUnused(key with { ScopeId = "org_none", OrganizationId = "org_none" }));
    }

    [Fact]
    public async Task LimitNear_AtEightyPercent_WarnsOfEachLimit()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 5, TokensPerDay = 1000 });
        for (var i = 0; i < 3; i++) Assert.Empty((await ReserveAsync(caller)).Call.Warnings);
        var warning = Assert.Single((await ReserveAsync(caller)).Call.Warnings);
        Assert.Equal("limit_near", warning.Code);
        Assert.Contains("80 % of the limit requests_per_minute of the key", warning.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ExpectedOutput_AfterTenResponses_IsWhatTheKeyUsuallyGets()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { OutputTokensPerMinute = 10_000 });
        for (var i = 0; i < 10; i++)
        {
            var (call, _) = await ReserveAsync(caller, max: 500);
            Assert.Equal(500, call.Reservation!.Amounts.Output);
            Settle(call, 10, 100);
        }
        Assert.InRange((await ReserveAsync(caller, max: 500)).Call.Reservation!.Amounts.Output, 100, 125);
        Assert.Equal(50, (await ReserveAsync(caller, max: 50)).Call.Reservation!.Amounts.Output);
        // Of another key nothing is known.
        Assert.Equal(500, (await ReserveAsync(LimitCalls.CallerOf(key: new LimitSet { OutputTokensPerMinute = 10_000 }, keyId: "key_2"), max: 500)).Call.Reservation!.Amounts.Output);
    }

    [Fact]
    public async Task Sweep_IdleOrganizations_DropsThoseAtRest()
    {
        for (var i = 0; i < 100; i++) Settle((await ReserveAsync(LimitCalls.CallerOf(new LimitSet { RequestsPerMinute = 5 }, organizationId: $"org_{i}"))).Call, 1, 1);
        var kept = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 }, organizationId: "org_money");
        Settle((await ReserveAsync(kept)).Call, 10, 10);
        _leases.Return(_accounts.TakeIdle(TimeSpan.Zero));
        _time.Advance(TimeSpan.FromMinutes(11));
        _accounts.Sweep();
        // Of a day, what was used is not forgotten.
        Assert.Equal(1, _accounts.Count);
        Assert.Equal((0, 220), (_ledger.Totals().Open, _ledger.Totals().UsedTokens));
        Assert.Equal(20, (await ReserveAsync(kept)).Call.Limits!.Read()[0].Used);
    }

    [Fact]
    public async Task Sweep_CallerOfDroppedAccounts_GetsNewOnes()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { RequestsPerMinute = 5 });
        Settle((await ReserveAsync(caller)).Call);
        _time.Advance(TimeSpan.FromMinutes(11));
        _accounts.Sweep();
        Assert.Equal(0, _accounts.Count);
        var (call, error) = await ReserveAsync(caller);
        Assert.Null(error);
        Assert.Equal(4, call.Limits!.Read()[0].Remaining);
        Assert.Equal(1, _accounts.Count);
    }

    [Fact]
    public async Task StatesOf_Caller_ListsEveryDeclaredLimit()
    {
        var key = new LimitSet
        {
            RequestsPerMinute = 5, InputTokensPerRequest = 99, PicoUsdPerMonth = 7,
            Classes = new Dictionary<string, LimitSet> { [CallClasses.Bulk] = new() { ConcurrentGenerations = 3 } },
        };
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 100 }, key: key);
        Assert.Equal(5, _accounts.StatesOf(caller).Count);
        await ReserveAsync(caller);
        var states = _accounts.StatesOf(caller, LimitCalls.ModelOf(limits: new LimitSet { RequestsPerMinute = 8 }));
        Assert.Equal([(LimitName.RequestsPerMinute, 5L, 4L), (LimitName.UsdPerMonth, 7, 7), (LimitName.InputTokensPerRequest, 99, 99), (LimitName.ConcurrentGenerations, 3, 3), (LimitName.TokensPerDay, 100, 80), (LimitName.RequestsPerMinute, 8, 8)],
            states.Select(state => (state.Name, state.Limit, state.Remaining)));
        Assert.Equal(CallClasses.Bulk, states[3].Class);
    }

    [Fact]
    public void Cost_AnyUsage_IsExactAndNeverNegative() =>
        Gen.Select(Gen.Int[0, 2_000_000], Gen.Int[0, 100_000], Gen.Double[0, 1], Gen.Double[0, 1]).Sample((input, output, cachedShare, writeShare) =>
        {
            var cached = (long)(input * cachedShare);
            var written = (long)((input - cached) * writeShare);
            var usage = new Usage(input, output) { CachedInputTokens = cached, CacheWriteTokens = written };
            var prices = new Fairlead.Catalogue.ModelPrices(2m, 10m)
            {
                CachedInput = 0.2m,
                CacheWrite = 2.5m,
                Tiers = [new Fairlead.Catalogue.PriceTier(272_000, 4m, 15m) { CachedInput = 0.4m }],
            };
            var (i, c, w, o) = input > 272_000 ? (4m, 0.4m, 5m, 15m) : (2m, 0.2m, 2.5m, 10m);
            var expected = (((input - cached - written) * i) + (cached * c) + (written * w) + (output * o)) / 1_000_000m;
            Assert.Equal(expected, prices.CostOf(usage).Usd);
        });

    private static void AddAttempt(GatewayCall call, int output) => call.Attempts.Add(new Attempt("att_1", 1, call.Model.Deployments[0])
    {
        Usage = new Usage(0, output),
        Cost = new Cost(output / 1_000_000m, Basis.Measured),
    });
}

internal sealed class BrokenStoreException : DbException;

/// <summary>Counts requests, and fails them when a test says so.</summary>
internal sealed class FakeLeases(IBudgetLeases leases) : IBudgetLeases
{
    private int _asked;

    public int Asked => Volatile.Read(ref _asked);

    public Exception? Error { get; set; }

    public Task<BudgetGrant[]> AcquireAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _asked);
        return Error is { } error ? Task.FromException<BudgetGrant[]>(error) : leases.AcquireAsync(needs, cancellationToken);
    }

    public void Return(IReadOnlyList<(BudgetKey Key, long Amount)> unused) => leases.Return(unused);

    public void AddUnpaid(BudgetKey key, long amount) => leases.AddUnpaid(key, amount);
}

/// <summary>The callers of a snapshot that a test replaces.</summary>
internal sealed class FakeCallers : ICurrentCallers
{
    private Caller? _current;

    public object? Version => _current;

    public Caller? Find(string keyId) => _current?.KeyId == keyId ? _current : null;

    public void Change(Caller caller) => _current = caller;
}

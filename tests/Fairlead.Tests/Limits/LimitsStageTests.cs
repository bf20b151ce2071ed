using System.Diagnostics.Metrics;
using Fairlead.Tests.Common;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Tests.Limits;

public sealed class LimitsStageTests
{
    private readonly ObservedTimeProvider _time = new(new DateTimeOffset(2026, 11, 30, 12, 0, 0, TimeSpan.Zero));
    private readonly LimitAccounts _accounts;
    private readonly InMemoryTokenLedger _ledger;
    private readonly LimitsStage _stage;
    private readonly IMeterFactory _meters = new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>();

    public LimitsStageTests()
    {
        _accounts = new LimitAccounts(_time);
        _ledger = new InMemoryTokenLedger(_accounts, new ProcessBudgetLeases(_time), new OutputHistories(), null);
        _stage = new LimitsStage(_ledger, _accounts, new TokenCounter(), new LimitsMetrics(_meters));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private ValueTask<GatewayReply> InvokeAsync(GatewayCall call, CancellationToken? token = null) =>
        _stage.InvokeAsync(call, static (_, _) => new ValueTask<GatewayReply>(GatewayReply.Admitted.Instance), token ?? Cancel);

    private static GatewayError ErrorOf(GatewayReply reply) => Assert.IsType<GatewayReply.Refused>(reply).Error;

    [Fact]
    public async Task Refuse_ByALimit_IsCountedByItsNameScopeAndModel()
    {
        var seen = new List<string>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Scope == _meters) self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
            seen.Add($"{instrument.Name}={value} {string.Join(' ', tags.ToArray().Select(tag => $"{tag.Key}={tag.Value}"))}"));
        listener.Start();

        var caller = LimitCalls.CallerOf(new LimitSet { RequestsPerMinute = 1 }, new LimitSet { OutputTokensPerRequest = 10 }, new LimitSet { TokensPerDay = 30 });
        Assert.IsType<GatewayReply.Admitted>(await InvokeAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf())));
        ErrorOf(await InvokeAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf(), max: 11)));
        ErrorOf(await InvokeAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf(), input: 1, max: 1)));
        ErrorOf(await InvokeAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf())));
        // Too dear for itself: no limit of an operator refused it.
        ErrorOf(await InvokeAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf(outputPrice: 1), budget: 0.000001m)));
        Assert.Equal(
            [
                "fairlead.limits.refusals=1 fairlead.limit=output_tokens_per_request fairlead.limit.scope=project fairlead.model=m",
                "fairlead.limits.refusals=1 fairlead.limit=requests_per_minute fairlead.limit.scope=organization fairlead.model=m",
                "fairlead.limits.refusals=1 fairlead.limit=tokens_per_day fairlead.limit.scope=key fairlead.model=m",
            ], seen);
    }

    [Fact]
    public async Task Run_RateUsedUp_WaitsAsLongAsStated()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { RequestsPerMinute = 120, TokensPerDay = 10_000, Burst = 0.01m });
        Assert.IsType<GatewayReply.Admitted>(await InvokeAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf())));
        var accepted = LimitCalls.Of(_time, caller, LimitCalls.ModelOf());
        accepted.RunsLater = true;
        // Accepted, although no request is left.
        Assert.IsType<GatewayReply.Admitted>(await InvokeAsync(accepted));
        var run = LimitCalls.Of(_time, caller, LimitCalls.ModelOf());
        run.Reservation = accepted.Reservation;
        run.QueuedRun = new QueuedRun(8, TimeSpan.Zero);
        var running = InvokeAsync(run).AsTask();
        await _time.TimerAsync(TimeSpan.FromMilliseconds(500), Cancel);
        Assert.False(running.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(500));
        Assert.IsType<GatewayReply.Admitted>(await running);
        Assert.NotNull(run.Reservation!.Rates);
        Assert.Equal(40, run.Limits!.Read().Single(state => state.Name == LimitName.TokensPerDay).Reserved);
    }

    [Fact]
    public async Task Run_CancelledWhileItWaits_EndsTheWait()
    {
        var (run, _) = await RunOfFullKeyAsync(new LimitSet { RequestsPerMinute = 120, Burst = 0.01m });
        using var stop = new CancellationTokenSource();
        var running = InvokeAsync(run, stop.Token).AsTask();
        await _time.TimerAsync(TimeSpan.FromMilliseconds(500), Cancel);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Null(run.Reservation);
    }

    /// <summary>A run that waited on its worker would keep the jobs of others from starting.</summary>
    [Theory]
    [InlineData(30, 2)]
    [InlineData(1, 10)]
    public async Task Run_RateFreeOnlyLater_IsPostponedAndKeepsNothing(int perMinute, int pause)
    {
        var (run, _) = await RunOfFullKeyAsync(new LimitSet { RequestsPerMinute = perMinute, Burst = 1m / perMinute });
        Assert.Equal(ErrorCode.RateLimitExceeded, ErrorOf(await InvokeAsync(run)).Code);
        Assert.Equal(new Postponement(TimeSpan.FromSeconds(pause), TimeSpan.FromSeconds(pause)), run.QueuedRun!.Postponed);
        Assert.Null(run.Reservation);
    }

    /// <summary>Others take what it waits for, again and again: it does not wait longer than a second in all.</summary>
    [Fact]
    public async Task Run_OvertakenWhileItWaits_IsPostponedAfterASecond()
    {
        var refusal = new GatewayError(ErrorCode.RateLimitExceeded, "full") { RetryAfter = TimeSpan.FromMilliseconds(400) };
        var stage = new LimitsStage(new FullLedger(refusal), _accounts, new TokenCounter(), new LimitsMetrics(_meters));
        var run = LimitCalls.Of(_time, LimitCalls.CallerOf(), LimitCalls.ModelOf());
        run.QueuedRun = new QueuedRun(8, TimeSpan.Zero);
        var running = stage.InvokeAsync(run, static (_, _) => throw new InvalidOperationException("It has no rates."), Cancel).AsTask();
        for (var i = 0; i < 2; i++)
        {
            await _time.TimerAsync(TimeSpan.FromMilliseconds(400), Cancel);
            Assert.False(running.IsCompleted);
            _time.Advance(TimeSpan.FromMilliseconds(400));
        }
        Assert.Same(refusal, ErrorOf(await running));
        Assert.Equal(TimeSpan.FromMilliseconds(400), run.QueuedRun.Postponed!.Value.Pause);
    }

    [Fact]
    public async Task Run_DeadlineBeforeThePauseEnds_WaitsForIt()
    {
        var (run, _) = await RunOfFullKeyAsync(new LimitSet { RequestsPerMinute = 30, Burst = 1m / 30 });
        run.Deadline = _time.GetUtcNow().AddSeconds(2);
        using var stop = new CancellationTokenSource();
        var running = InvokeAsync(run, stop.Token).AsTask();
        await _time.TimerAsync(TimeSpan.FromSeconds(2), Cancel);
        Assert.Null(run.QueuedRun!.Postponed);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    /// <summary>A stream that continues without its client is not a job: it is refused as it always was.</summary>
    [Fact]
    public async Task Call_NotTakenFromTheQueue_IsRefusedAtOnce()
    {
        var (run, _) = await RunOfFullKeyAsync(new LimitSet { RequestsPerMinute = 120, Burst = 0.01m });
        run.QueuedRun = null;
        Assert.Equal(TimeSpan.FromMilliseconds(500), ErrorOf(await InvokeAsync(run)).RetryAfter);
    }

    [Fact]
    public async Task Run_BudgetUsedUp_IsPostponed()
    {
        var (run, _) = await RunOfFullKeyAsync(organization: new LimitSet { TokensPerDay = 20 });
        Assert.Equal(ErrorCode.BudgetExceeded, ErrorOf(await InvokeAsync(run)).Code);
        Assert.Equal(TimeSpan.FromMinutes(1), run.QueuedRun!.Postponed!.Value.Pause);
    }

    [Fact]
    public async Task Run_LargerThanTheLimit_IsRefused()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { InputTokensPerMinute = 5 });
        var run = LimitCalls.Of(_time, caller, LimitCalls.ModelOf());
        run.QueuedRun = new QueuedRun(8, TimeSpan.Zero);
        Assert.False(ErrorOf(await InvokeAsync(run)).IsRetryable);
        Assert.Null(run.QueuedRun.Postponed);
    }

    /// <summary>The run of a job whose key has used up its limits.</summary>
    private async Task<(GatewayCall Run, Caller Caller)> RunOfFullKeyAsync(LimitSet? key = null, LimitSet? organization = null)
    {
        var caller = LimitCalls.CallerOf(organization, key: key);
        await InvokeAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf()));
        var run = LimitCalls.Of(_time, caller, LimitCalls.ModelOf());
        run.QueuedRun = new QueuedRun(8, TimeSpan.Zero);
        return (run, caller);
    }

    [Fact]
    public async Task Run_AcceptedWithCappedOutput_HasTheSameCap()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 60 });
        var accepted = LimitCalls.Of(_time, caller, LimitCalls.ModelOf(), max: null);
        accepted.RunsLater = true;
        Assert.IsType<GatewayReply.Admitted>(await InvokeAsync(accepted));
        Assert.Equal(50, accepted.OutputCap);
        var run = LimitCalls.Of(_time, caller, LimitCalls.ModelOf(), max: null);
        run.Reservation = accepted.Reservation;
        Assert.IsType<GatewayReply.Admitted>(await InvokeAsync(run));
        Assert.Equal(50, run.OutputCap);
    }

    [Theory]
    [InlineData(101, 10, "messages", "input_tokens_per_request")]
    [InlineData(10, 51, "max_tokens", "output_tokens_per_request")]
    public async Task RequestLimit_TooLarge_IsRefusedBeforeAnythingIsReserved(long input, int max, string parameter, string name)
    {
        var caller = LimitCalls.CallerOf(new LimitSet { InputTokensPerRequest = 500, OutputTokensPerRequest = 500, RequestsPerMinute = 5 }, key: new LimitSet { InputTokensPerRequest = 100, OutputTokensPerRequest = 50 });
        var call = LimitCalls.Of(_time, caller, LimitCalls.ModelOf(), input, max);
        var error = ErrorOf(await InvokeAsync(call));
        Assert.Equal((ErrorCode.InvalidParameter, parameter), (error.Code, error.Parameter));
        Assert.Equal((name, "key"), (error.Details!["name"]!.GetValue<string>(), error.Details["scope"]!.GetValue<string>()));
        Assert.Equal(5, Assert.Single(call.Limits!.Read()).Remaining);
    }

    [Fact]
    public async Task RequestLimit_OpenMaximum_CapsOutput()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { OutputTokensPerRequest = 50, Classes = new Dictionary<string, LimitSet> { [CallClasses.Bulk] = new() { OutputTokensPerRequest = 70 } } });
        var call = LimitCalls.Of(_time, caller, LimitCalls.ModelOf(), max: null);
        Assert.IsType<GatewayReply.Admitted>(await InvokeAsync(call));
        Assert.Equal(50, call.OutputCap);
        Assert.Contains(call.Warnings, warning => warning.Code == "output_capped");
        var bulk = LimitCalls.Of(_time, caller, LimitCalls.ModelOf(), max: null, @class: CallClasses.Bulk);
        await InvokeAsync(bulk);
        Assert.Equal(70, bulk.OutputCap);
    }

    [Fact]
    public async Task BudgetUsd_WorstCaseAbove_IsRefusedAtItsField()
    {
        var error = ErrorOf(await InvokeAsync(LimitCalls.Of(_time, LimitCalls.CallerOf(), LimitCalls.ModelOf(outputPrice: 1), budget: 0.000009m)));
        Assert.Equal((ErrorCode.InvalidParameter, "fairlead.budget_usd"), (error.Code, error.Parameter));
    }

    /// <summary>Another call is always there a moment earlier.</summary>
    private sealed class FullLedger(GatewayError refusal) : ITokenLedger
    {
        public ValueTask<GatewayError?> ReserveAsync(GatewayCall call, ReservationParts parts, CancellationToken cancellationToken) => new(refusal);

        public ValueTask<GatewayError?> ExtendAsync(GatewayCall call, CancellationToken cancellationToken) => new(refusal);

        public void Settle(TokenReservation reservation, in Usage usage, in Cost cost)
        {
        }

        public void ReleaseRates(TokenReservation reservation)
        {
        }
    }
}

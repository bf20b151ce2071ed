using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Limits;

/// <summary>
/// Reserves what the call needs before any work: 1. check the call's own budget, 2. check the limits of single requests, 3. reserve.
/// <see cref="CallEnder"/> settles it, however the call ends. A call that is accepted now and runs later reserves only money. Its run
/// reserves the rates. If it must wait for them, it waits a moment on its worker and is then postponed.
/// </summary>
internal sealed class LimitsStage(ITokenLedger ledger, LimitAccounts accounts, TokenCounter counter, LimitsMetrics metrics) : IGatewayStage
{
    /// <summary>How long a run waits on its worker, in all its waits. A longer wait would keep jobs of others from starting.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(1);

    /// <summary>A run is postponed for at most this long, so that it sees changed limits.</summary>
    private static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(10);

    /// <summary>The same for a job whose money could not be reserved again.</summary>
    private static readonly TimeSpan MaxBudgetPause = TimeSpan.FromMinutes(1);

    /// <summary>For a limit that does not know when it is free.</summary>
    private static readonly TimeSpan DefaultPause = TimeSpan.FromSeconds(1);

    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        if (call.Operation == Operation.CountTokens) return next(call, cancellationToken);
        var since = call.Timings.Now();

        // 1. Applies to a job too: its run has the same limit as its acceptance.
        if (call.Facts.Extension.BudgetUsd is { } budget && CallBudget.Hold(call, budget) is { } tooDear) return new(Refuse(call, tooDear));

        // 2. What was accepted is not checked again.
        if (call.Reservation is not { } held)
        {
            var limits = accounts.Of(call.Caller, call.Model, call.Class);
            call.Limits = limits;
            if ((limits.InputPerRequest is not null || limits.OutputPerRequest is not null)
                && RequestLimitRule.Check(call, limits, counter) is { } tooLarge)
            {
                return new(Refuse(call, tooLarge));
            }
        }
        // Its money pays for no more.
        else if (held.OutputCap is { } cap && !(call.MaxOutputTokens <= cap)) call.CapOutput(cap);

        // 3.
        var parts = PartsOf(call);
        if (parts == 0) return next(call, cancellationToken);
        var reserving = ledger.ReserveAsync(call, parts, cancellationToken);
        // In memory the reservation is immediate, and the call continues without a state machine of its own.
        if (!reserving.IsCompletedSuccessfully) return AwaitAsync(call, parts, next, since, reserving, cancellationToken);
        if (reserving.Result is { } refusal)
            return call.QueuedRun is null ? new(Refuse(call, refusal)) : AwaitAsync(call, parts, next, since, new(refusal), cancellationToken);
        call.Timings.Add(Phase.Limit, since);
        return next(call, cancellationToken);
    }

    private static ReservationParts PartsOf(GatewayCall call)
    {
        var rates = call.RunsLater || call.Reservation?.Rates is not null ? 0 : ReservationParts.Rates;
        return call.Reservation is null ? rates | ReservationParts.Money : rates;
    }

    private async ValueTask<GatewayReply> AwaitAsync(GatewayCall call, ReservationParts parts, GatewayStep next, long since,
        ValueTask<GatewayError?> reserving, CancellationToken cancellationToken)
    {
        var waited = TimeSpan.Zero;
        while (await reserving is { } refusal)
        {
            if (call.QueuedRun is not { } run) return Refuse(call, refusal);
            if (refusal is { Code: ErrorCode.BudgetExceeded, RetryAfter: { } reset } && reset > TimeSpan.Zero)
            {
                // A job was accepted, so it does not fail because its budget is used up now.
                var later = reset < MaxBudgetPause ? reset : MaxBudgetPause;
                run.TryPostpone(call, new Postponement(later, later));
                return Refuse(call, refusal);
            }
            if (refusal is not { Code: ErrorCode.RateLimitExceeded, IsRetryable: true }) return Refuse(call, refusal);
            var pause = refusal.RetryAfter ?? DefaultPause;
            if (pause > MaxPause) pause = MaxPause;
            // A run that waits is not refused.
            if (waited + pause > MaxWait && run.TryPostpone(call, new Postponement(pause, pause)))
                return new GatewayReply.Refused(refusal);
            // Not for long, or its deadline ends the wait.
            await Task.Delay(pause, call.Time, cancellationToken);
            waited += pause;
            reserving = ledger.ReserveAsync(call, parts, cancellationToken);
        }
        call.Timings.Add(Phase.Limit, since);
        return await next(call, cancellationToken);
    }

    private GatewayReply.Refused Refuse(GatewayCall call, GatewayError error)
    {
        metrics.Refused(call, error);
        return new GatewayReply.Refused(error);
    }
}

using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Limits;

/// <summary>
/// Reserves what the call needs before any work: 1. check the call's own budget, 2. check the limits of single requests, 3. reserve.
/// <see cref="CallEnder"/> settles it, however the call ends. A call that is accepted now and runs later reserves only money. Its run
/// reserves the rates, and waits for them if it must.
/// </summary>
internal sealed class LimitsStage(ITokenLedger ledger, LimitAccounts accounts, TokenCounter counter, LimitsMetrics metrics) : IGatewayStage
{
    /// <summary>A run that waits looks again this often, so that it sees changed limits.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    /// <summary>A job whose money could not be reserved again goes back to the queue for at most this long.</summary>
    private static readonly TimeSpan MaxReturn = TimeSpan.FromMinutes(1);

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
            return call.CanWaitForSlot ? AwaitAsync(call, parts, next, since, new(refusal), cancellationToken) : new(Refuse(call, refusal));
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
        while (await reserving is { } refusal)
        {
            if (!call.CanWaitForSlot) return Refuse(call, refusal);
            if (refusal is not { Code: ErrorCode.RateLimitExceeded, RetryAfter: { } wait }) return Refuse(call, Later(refusal));
            // Nobody waits on a connection. The token of the run ends the wait.
            await Task.Delay(wait < LookAgain ? wait : LookAgain, call.Time, cancellationToken);
            reserving = ledger.ReserveAsync(call, parts, cancellationToken);
        }
        call.Timings.Add(Phase.Limit, since);
        return await next(call, cancellationToken);
    }

    // A job was accepted, so it is not refused because its budget is used up now.
    private static GatewayError Later(GatewayError refusal) =>
        refusal is { Code: ErrorCode.BudgetExceeded, RetryAfter: { } wait } && wait > TimeSpan.Zero
        ? refusal with { Retryable = true, RetryAfter = wait < MaxReturn ? wait : MaxReturn } : refusal;

    private GatewayReply.Refused Refuse(GatewayCall call, GatewayError error)
    {
        metrics.Refused(call, error);
        return new GatewayReply.Refused(error);
    }
}

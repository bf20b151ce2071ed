using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>Reserves the worst case of the call before any work. <see cref="CallEnder"/> settles it, however the call ends.</summary>
internal sealed class LimitsStage(ITokenLedger ledger) : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        // Applies to a job too: its run has the same limit as its acceptance.
        if (call.Facts.Extension.BudgetUsd is { } budget && call.Operation != Operation.CountTokens
            && CallBudget.Hold(call, budget) is { } tooDear)
        {
            return new ValueTask<GatewayReply>(new GatewayReply.Refused(tooDear));
        }

        // An accepted job has reserved its worst case since then.
        if (call.Operation == Operation.CountTokens || call.Reservation is not null) return next(call, cancellationToken);

        var since = call.Timings.Now();
        var reserving = ledger.ReserveAsync(call, cancellationToken);
        // In memory the reservation is immediate, and the call continues without a state machine of its own.
        return reserving.IsCompletedSuccessfully ? ContinueAsync(call, next, since, reserving.Result, cancellationToken)
            : AwaitAsync(call, next, since, reserving, cancellationToken);
    }

    private static async ValueTask<GatewayReply> AwaitAsync(GatewayCall call, GatewayStep next, long since,
        ValueTask<ReservationResult> reserving, CancellationToken cancellationToken) =>
        await ContinueAsync(call, next, since, await reserving, cancellationToken);

    private static ValueTask<GatewayReply> ContinueAsync(GatewayCall call, GatewayStep next, long since, ReservationResult result,
        CancellationToken cancellationToken)
    {
        call.Timings.Add(Phase.Limit, since);
        if (result.Refusal is { } refusal) return new ValueTask<GatewayReply>(new GatewayReply.Refused(refusal));

        call.Reservation = result.Reservation;
        return next(call, cancellationToken);
    }
}

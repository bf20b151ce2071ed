using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>Holds the worst case of the call before anyone works on it. Settling is <see cref="CallEnder"/>'s, on every way out.</summary>
internal sealed class LimitsStage(ITokenLedger ledger) : IGatewayStage
{
    public async ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        if (call.Facts.Extension.BudgetUsd is { } budget && call.Operation != Operation.CountTokens && CallBudget.Hold(call, budget) is { } tooDear) return new GatewayReply.Refused(tooDear);
        // An accepted job has held its worst case since then.
        if (call.Operation == Operation.CountTokens || call.Reservation is not null) return await next(call, cancellationToken);

        var since = call.Timings.Now();
        var result = await ledger.ReserveAsync(call, cancellationToken);
        call.Timings.Add(Phase.Limit, since);
        if (result.Refusal is { } refusal) return new GatewayReply.Refused(refusal);

        call.Reservation = result.Reservation;
        return await next(call, cancellationToken);
    }
}

using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>Holds the worst case of the call before anyone works on it. Settling is <see cref="CallEnder"/>'s, on every way out.</summary>
internal sealed class LimitsStage(ITokenLedger ledger) : IGatewayStage
{
    public async ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        if (call.Operation == Operation.CountTokens) return await next(call, cancellationToken);

        var since = call.Timings.Now();
        var result = await ledger.ReserveAsync(call, cancellationToken);
        call.Timings.Add(Phase.Limit, since);
        if (result.Refusal is { } refusal) return new GatewayReply.Refused(refusal);

        call.Reservation = result.Reservation;
        return await next(call, cancellationToken);
    }
}

using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>Refuses chosen calls, as a limit would, reserves for the others, and shows fixed limits.</summary>
internal sealed class RefusingLedger(ITokenLedger inner, Func<GatewayCall, GatewayError?> refusal, Func<GatewayCall, LimitState[]> limits) : ITokenLedger
{
    public async ValueTask<GatewayError?> ReserveAsync(GatewayCall call, ReservationParts parts, CancellationToken cancellationToken)
    {
        var error = refusal(call) ?? await inner.ReserveAsync(call, parts, cancellationToken);
        call.Limits = new FixedLimits(limits(call));
        return error;
    }

    public ValueTask<GatewayError?> ExtendAsync(GatewayCall call, CancellationToken cancellationToken) => inner.ExtendAsync(call, cancellationToken);

    public void Settle(TokenReservation reservation, in Usage usage, in Cost cost) => inner.Settle(reservation, usage, cost);

    public void ReleaseRates(TokenReservation reservation) => inner.ReleaseRates(reservation);

    private sealed class FixedLimits(LimitState[] states) : ICallLimits
    {
        public LimitState[] Read() => [.. states];
    }
}

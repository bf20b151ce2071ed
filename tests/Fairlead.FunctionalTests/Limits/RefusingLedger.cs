using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>Refuses chosen calls, as a limit would, and reserves for the others.</summary>
internal sealed class RefusingLedger(ITokenLedger inner, Func<GatewayCall, GatewayError?> refusal) : ITokenLedger
{
    public ValueTask<ReservationResult> ReserveAsync(GatewayCall call, CancellationToken cancellationToken) =>
        refusal(call) is { } error ? new(new ReservationResult(null, error)) : inner.ReserveAsync(call, cancellationToken);

    public void Settle(TokenReservation reservation, in Usage usage, in Cost cost) => inner.Settle(reservation, usage, cost);
}

using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>Tokens and money reserved for a call before the work, corrected after it.</summary>
internal sealed class TokenReservation(string organizationId, string projectId, string keyId, long inputTokens, long outputTokens,
    decimal usd)
{
    private int _settled;

    public string OrganizationId { get; } = organizationId;

    public string ProjectId { get; } = projectId;

    public string KeyId { get; } = keyId;

    public long InputTokens { get; } = inputTokens;

    public long OutputTokens { get; } = outputTokens;

    /// <summary>The worst case in US dollars.</summary>
    public decimal Usd { get; } = usd;

    /// <summary>True for the first caller, false for all later ones, so that settling is idempotent.</summary>
    public bool TrySettle() => Interlocked.Exchange(ref _settled, 1) == 0;
}

/// <summary>Reserves and settles. Thread-safe; in process, so that neither step waits for a store.</summary>
internal interface ITokenLedger
{
    /// <summary>Reserves the worst case of a call, or reports why not.</summary>
    ValueTask<ReservationResult> ReserveAsync(GatewayCall call, CancellationToken cancellationToken);

    /// <summary>Replaces the reservation by the usage. Idempotent; never throws for a reservation that this ledger created.</summary>
    void Settle(TokenReservation reservation, in Usage usage, in Cost cost);
}

internal readonly record struct ReservationResult(TokenReservation? Reservation, Errors.GatewayError? Refusal);

using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>The parts of a reservation. A job reserves money when it is accepted, and rates when it starts.</summary>
[Flags]
internal enum ReservationParts
{
    /// <summary>Tokens and money of budgets, for the worst case.</summary>
    Money = 1,

    /// <summary>Rates and concurrency, for what is expected.</summary>
    Rates = 2,

    All = Money | Rates,
}

/// <summary>
/// What a call holds before and during its work, replaced by its usage afterwards. Data: it names the counters and the amounts. Everything
/// that changes is guarded by the lock of the organization.
/// </summary>
internal sealed class TokenReservation(Caller caller, string model, string @class, DateTimeOffset acceptedAt)
{
    public string OrganizationId { get; } = caller.OrganizationId;

    public string ProjectId { get; } = caller.ProjectId;

    public string KeyId { get; } = caller.KeyId;

    public string Model { get; } = model;

    public string Class { get; } = @class;

    /// <summary>Decides the periods of budgets, also if the call ends in a later one.</summary>
    public DateTimeOffset AcceptedAt { get; } = acceptedAt;

    /// <summary>Where money is held; null if none is reserved yet.</summary>
    public AppliedLimits? Money { get; private set; }

    /// <summary>Where rates and concurrency are held; null before the call starts.</summary>
    public AppliedLimits? Rates { get; private set; }

    /// <summary>What is held.</summary>
    public LimitAmounts Amounts { get; private set; }

    /// <summary>Where what it holds of money is listed; null if no budget of money applies.</summary>
    public HeldAmounts? Held { get; set; }

    /// <summary>Timestamp of the start, when rates were reserved.</summary>
    public long StartedAt { get; private set; }

    /// <summary>Set by the first settlement; all later ones have no effect.</summary>
    public bool IsSettled { get; set; }

    /// <summary>The cap of the output that the money pays for, for the run of an accepted job. Null for no cap.</summary>
    public int? OutputCap { get; set; }

    /// <summary>The snapshot of callers when it was made.</summary>
    public object? CallersVersion { get; init; }

    /// <summary>Names the call where all nodes count rates and concurrency; null where this process counts them alone.</summary>
    public string? Member { get; set; }

    /// <summary>The outage of the store of all nodes in which this process took the rates alone; 0 if the store took them.</summary>
    public long Outage { get; set; }

    public void HoldMoney(AppliedLimits limits, in LimitAmounts amounts)
    {
        Money = limits;
        Amounts = Amounts with { Tokens = amounts.Tokens, Pico = amounts.Pico };
    }

    public void ReleaseMoney()
    {
        Money = null;
        Amounts = Amounts with { Tokens = 0, Pico = 0 };
    }

    public void HoldRates(AppliedLimits limits, in LimitAmounts amounts, long now)
    {
        Rates = limits;
        Amounts = Amounts with { Input = amounts.Input, Output = amounts.Output };
        StartedAt = now;
    }

    /// <summary>The rates are no longer held; the money is.</summary>
    public void DropRates()
    {
        Rates = null;
        Amounts = Amounts with { Input = 0, Output = 0 };
    }

    /// <summary>How much of tokens and money is missing to <paramref name="amounts"/>.</summary>
    public LimitAmounts Missing(in LimitAmounts amounts) => new()
    {
        Tokens = Math.Max(0, amounts.Tokens - Amounts.Tokens),
        Pico = Math.Max(0, amounts.Pico - Amounts.Pico),
    };

    public void Raise(in LimitAmounts more) =>
        Amounts = Amounts with { Tokens = Amounts.Tokens + more.Tokens, Pico = Amounts.Pico + more.Pico };
}

/// <summary>
/// Reserves and settles. Thread-safe. Only a slice of a budget that is used up needs a store, so almost every reservation is immediate, and
/// every settlement is.
/// </summary>
internal interface ITokenLedger
{
    /// <summary>
    /// Reserves <paramref name="parts"/> of a call, or reports why not: all limits that apply, or none. Adds to
    /// <see cref="GatewayCall.Reservation"/> if there is one. May cap the output of a call that has no maximum.
    /// </summary>
    ValueTask<Errors.GatewayError?> ReserveAsync(GatewayCall call, ReservationParts parts, CancellationToken cancellationToken);

    /// <summary>
    /// Before each further attempt: raises the reservation to the cost of the ended attempts and the worst case of the next, or reports why
    /// not.
    /// </summary>
    ValueTask<Errors.GatewayError?> ExtendAsync(GatewayCall call, CancellationToken cancellationToken);

    /// <summary>
    /// Replaces the reservation by the usage, whatever kind of end the call had: usage and cost are 0 if it was not sent, or if another call
    /// paid for it. Idempotent; never throws for a reservation that this ledger created.
    /// </summary>
    void Settle(TokenReservation reservation, in Usage usage, in Cost cost);

    /// <summary>
    /// Returns rates and concurrency of a call that has sent nothing and does not run now. Its money stays reserved. Idempotent.
    /// </summary>
    void ReleaseRates(TokenReservation reservation);
}

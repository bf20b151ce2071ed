using Fairlead.Errors;

namespace Fairlead.Limits;

/// <summary>What became of rates and concurrency that all nodes count together.</summary>
internal readonly record struct SharedRatesResult
{
    /// <summary>Whether everything was taken.</summary>
    public bool IsTaken { get; init; }

    /// <summary>Whether 80 % of any of them is used or reserved now.</summary>
    public bool IsNear { get; init; }

    /// <summary>The limits that refuse, one or more; null if none does.</summary>
    public IReadOnlyList<RefusingLimit>? Refusing { get; init; }

    /// <summary>The limits were dropped because nothing had used them for a long time. Get them again.</summary>
    public bool IsDropped { get; init; }

    /// <summary>Why nobody can say whether a limit refuses; null otherwise.</summary>
    public GatewayError? Unavailable { get; init; }
}

/// <summary>
/// Counts rates and concurrency for all nodes together. The accounts in process show what the store last reported. Budgets are not counted
/// here. Thread-safe.
/// </summary>
internal interface ISharedRates
{
    /// <summary>Whether there is such a store. Without it, each process counts by itself. Never changes.</summary>
    bool IsEnabled { get; }

    /// <summary>
    /// Takes all rates and the concurrency that <paramref name="limits"/> name, or nothing. Never throws for an unavailable store.
    /// </summary>
    /// <param name="reservation">Holds its money already, if it needs any, and no rates.</param>
    /// <param name="limits">The limits that apply.</param>
    /// <param name="amounts">How much of each.</param>
    ValueTask<SharedRatesResult> ReserveAsync(TokenReservation reservation, AppliedLimits limits, LimitAmounts amounts);

    /// <summary>Replaces what a reservation took by what was used, after the accounts in process did. Does not wait for the store.</summary>
    void Settle(TokenReservation reservation, in LimitAmounts used);

    /// <summary>
    /// Returns what a reservation took, of which nothing was used, after the accounts in process did. Does not wait for the store.
    /// </summary>
    /// <param name="reservation">Holds no rates any more.</param>
    /// <param name="limits">Where it held them.</param>
    /// <param name="held">What it held.</param>
    void Release(TokenReservation reservation, AppliedLimits limits, in LimitAmounts held);
}

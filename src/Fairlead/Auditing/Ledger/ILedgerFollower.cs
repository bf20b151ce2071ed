using System.Data.Common;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Keeps amounts that depend on the ledger, such as leases of budgets, and changes them in the ledger's own transactions: no reader sees
/// usage that is missing in both, or in neither. Thread-safe.
/// </summary>
internal interface ILedgerFollower
{
    /// <summary>
    /// Called within the transaction that adds calls which this process has ended. Calls that the ledger had already, and calls of earlier
    /// processes, are not included.
    /// </summary>
    /// <param name="connection">The connection of the transaction.</param>
    /// <param name="usage">What they used; each combination of properties once.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    Task SettleAsync(DbConnection connection, IReadOnlyList<SettledUsage> usage, CancellationToken cancellationToken);

    /// <summary>
    /// The calls of a stopped node are in the ledger, and those that it had not finished are on the spool of <paramref name="to"/>. May be
    /// called again with the same nodes.
    /// </summary>
    Task AdoptAsync(string from, string to, CancellationToken cancellationToken);

    /// <summary>
    /// All calls of the earlier processes of <paramref name="node"/> and of the nodes that it adopted are in the ledger. May be called
    /// again.
    /// </summary>
    Task ReplayedAsync(string node, CancellationToken cancellationToken);
}

/// <summary>What calls of one hour used.</summary>
/// <param name="OrganizationId">The payer.</param>
/// <param name="ProjectId">The project.</param>
/// <param name="KeyId">The key.</param>
/// <param name="Model">Id of the model; empty for a call that was refused before its model was known.</param>
/// <param name="Class">The class.</param>
/// <param name="Hour">Start of the hour in which the calls were accepted, in milliseconds since 1970 in UTC.</param>
/// <param name="Tokens">Input and output of all attempts.</param>
/// <param name="CostPicoUsd">Cost of all attempts in picodollars.</param>
internal readonly record struct SettledUsage(
    string OrganizationId, string ProjectId, string KeyId, string Model, string Class, long Hour, long Tokens, long CostPicoUsd);

using System.Data.Common;

namespace Fairlead.Auditing.Ledger;

/// <summary>Acts on the usage that the ledger adds, whichever process ended the calls. Called by one thread at a time.</summary>
internal interface ILedgerWatcher
{
    /// <summary>
    /// Called within the transaction that adds calls, after their usage. Calls that the ledger had already are not included. Called again
    /// if the transaction has to be repeated.
    /// </summary>
    /// <param name="connection">The connection of the transaction.</param>
    /// <param name="transaction">The transaction.</param>
    /// <param name="usage">What they used; each combination of properties once.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    Task AddedAsync(
        DbConnection connection, DbTransaction transaction, IReadOnlyList<SettledUsage> usage, CancellationToken cancellationToken);

    /// <summary>The last transaction is committed. Not called if its outcome is unknown.</summary>
    void Committed();
}

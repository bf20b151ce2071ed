using Fairlead.Auditing.Spooling;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>Writes to whichever database there is, and keeps how far each node's spool has been read.</summary>
internal static class LedgerWriter
{
    /// <summary>Writes the calls and the position behind them in one transaction. Writing the same calls again changes nothing.</summary>
    /// <param name="storage">Where to.</param>
    /// <param name="names">What the writer of SQLite knows of its table of names; the same for every call with this storage.</param>
    /// <param name="node">Whose spool they come from.</param>
    /// <param name="calls">What ended.</param>
    /// <param name="position">How far the spool has then been read.</param>
    /// <param name="cancellationToken">Gives up before the commit.</param>
    public static Task WriteAsync(IStorage storage, LedgerNames names, string node, IReadOnlyList<ShippedCall> calls, SpoolPosition position, CancellationToken cancellationToken) =>
        storage.Provider == StorageProvider.Postgres
            ? PostgresLedgerWriter.WriteAsync(storage, node, calls, position, cancellationToken)
            : SqliteLedgerWriter.WriteAsync(storage, names, node, calls, position, cancellationToken);
}

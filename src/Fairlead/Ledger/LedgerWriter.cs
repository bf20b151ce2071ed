using Fairlead.Auditing;
using Fairlead.Storage;

namespace Fairlead.Ledger;

/// <summary>Writes to whichever database there is, and keeps how far each node's spool has been read.</summary>
internal static class LedgerWriter
{
    /// <summary>Writes the calls and the position behind them in one transaction. Writing the same calls again changes nothing.</summary>
    public static Task WriteAsync(IStorage storage, string node, IReadOnlyList<ShippedCall> calls, SpoolPosition position, CancellationToken cancellationToken) =>
        storage.Provider == StorageProvider.Postgres
            ? PostgresLedgerWriter.WriteAsync(storage, node, calls, position, cancellationToken)
            : SqliteLedgerWriter.WriteAsync(storage, node, calls, position, cancellationToken);
}

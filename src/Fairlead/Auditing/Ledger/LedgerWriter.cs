using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>Writes calls into the database, and how far the spool of each node has been read.</summary>
internal static class LedgerWriter
{
    /// <summary>Writes the calls and the position after them in one transaction. Writing the same calls again changes nothing.</summary>
    /// <param name="storage">The database.</param>
    /// <param name="names">Cache of SQLite's table of names; the same object for every call with this storage.</param>
    /// <param name="node">The node whose spool they come from.</param>
    /// <param name="calls">Calls that ended.</param>
    /// <param name="position">How far the spool has then been read.</param>
    /// <param name="follower">Changes in the same transaction what depends on the ledger; null if nothing does.</param>
    /// <param name="watcher">Acts on the added usage in the same transaction; null if nothing does.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    public static Task WriteAsync(
        IStorage storage, LedgerNames names, string node, IReadOnlyList<ShippedCall> calls, SpoolPosition position,
        ILedgerFollower? follower, ILedgerWatcher? watcher, CancellationToken cancellationToken) =>
        storage.Provider == StorageProvider.Postgres
            ? PostgresLedgerWriter.WriteAsync(storage, node, calls, position, follower, watcher, cancellationToken)
            : SqliteLedgerWriter.WriteAsync(storage, names, node, calls, position, follower, watcher, cancellationToken);

    /// <summary>Returns when everything written before survives a power failure.</summary>
    public static Task SyncAsync(IStorage storage, CancellationToken cancellationToken) =>
        // Every commit in PostgreSQL waits for its disk.
        storage.Provider == StorageProvider.Postgres ? Task.CompletedTask : SqliteLedgerWriter.SyncAsync(storage, cancellationToken);

    public static async Task<SpoolPosition> ReadPositionAsync(IStorage storage, string node, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.FirstOrDefaultAsync(
            "SELECT segment, at_byte FROM spool_positions WHERE node = @node", [("@node", node)],
            row => new SpoolPosition(row.Int64("segment"), row.Int32("at_byte")), cancellationToken);
    }

    /// <summary>Deletes the position of a node that no longer exists.</summary>
    public static async Task ForgetNodeAsync(IStorage storage, string node, CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync("DELETE FROM spool_positions WHERE node = @node", [("@node", node)], cancellationToken);
    }
}

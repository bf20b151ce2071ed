using System.Data.Common;
using System.Text;
using Fairlead.Auditing.Administration;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Writes records into the database: their blocks, the end of the chain, hourly and daily sums and the position in the spool, all in one
/// transaction. Records up to the position that the database knows are there already, so writing the same ones again changes nothing.
/// </summary>
internal static class LedgerWriter
{
    // Never backwards: a process that reads the start of a spool again must not reset the position.
    private const string SetPosition = """
        INSERT INTO spool_positions (node, segment, at_byte) VALUES (@node, @segment, @at_byte)
        ON CONFLICT (node) DO UPDATE SET segment = excluded.segment, at_byte = excluded.at_byte
        WHERE (excluded.segment, excluded.at_byte) > (spool_positions.segment, spool_positions.at_byte)
        """;

    /// <summary>Writes a batch in one transaction.</summary>
    /// <param name="storage">The database.</param>
    /// <param name="chain">Adds the records to the chain; the same object for every batch with this storage.</param>
    /// <param name="batch">What is written.</param>
    /// <param name="follower">Changes in the same transaction what depends on the ledger; null if nothing does.</param>
    /// <param name="watcher">Acts on the added usage in the same transaction; null if nothing does.</param>
    /// <param name="isFlushed">Whether the commit waits for the disk.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    /// <returns>Number of records that were added.</returns>
    public static Task<int> WriteAsync(
        IStorage storage, ChainWriter chain, LedgerBatch batch, ILedgerFollower? follower, ILedgerWatcher? watcher, bool isFlushed,
        CancellationToken cancellationToken) => storage.Provider == StorageProvider.Sqlite
        ? WriteOnceAsync(storage, chain, batch, follower, watcher, isFlushed, cancellationToken)
        : StorageRetry.RunAsync(() => WriteOnceAsync(storage, chain, batch, follower, watcher, isFlushed, cancellationToken));

    /// <summary>Returns when everything written before survives a power failure.</summary>
    public static Task SyncAsync(IStorage storage, CancellationToken cancellationToken) =>
        // Every commit in PostgreSQL waits for its disk.
        storage.Provider == StorageProvider.Postgres ? Task.CompletedTask : SqliteLedgerWriter.SyncAsync(storage, cancellationToken);

    public static async Task<SpoolPosition> ReadPositionAsync(IStorage storage, string node, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await ReadPositionAsync(connection, node, cancellationToken) ?? default;
    }

    /// <summary>Deletes the position of a node that no longer exists.</summary>
    public static async Task ForgetNodeAsync(IStorage storage, string node, CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync("DELETE FROM spool_positions WHERE node = @node", [("@node", node)], cancellationToken);
    }

    private static async Task<int> WriteOnceAsync(
        IStorage storage, ChainWriter chain, LedgerBatch batch, ILedgerFollower? follower, ILedgerWatcher? watcher, bool isFlushed,
        CancellationToken cancellationToken)
    {
        try
        {
            await using var transaction = await BeginAsync(storage, isFlushed, cancellationToken);
            var connection = transaction.Connection;
            // A commit whose response was lost may still be in progress: only the lock waits for it. SQLite has one writer at a time.
            if (storage.Provider == StorageProvider.Postgres && batch.Records.Count > 0)
                await ChainState.LockAsync(connection, storage.Sql, batch.Node, cancellationToken);
            var records = await NewOfAsync(connection, batch, chain, cancellationToken);
            if (batch.TakesChanges) records.AddRange(await ChangeTable.TakeAsync(connection, storage.Sql, cancellationToken));
            await chain.AppendAsync(connection, storage.Sql, batch.Node, records, cancellationToken);
            await AddContentsAsync(connection, storage.Sql, batch.Node, records, cancellationToken);

            var sums = new LedgerSums(storage.Sql.Storable);
            foreach (var record in records) sums.Add(record);
            if (connection is SqliteConnection sqlite) SqliteLedgerWriter.WriteSums(sqlite, sums);
            else await PostgresLedgerWriter.WriteSumsAsync((NpgsqlConnection)connection, sums, cancellationToken);
            if (batch.Position is { } position)
            {
                await connection.ExecuteAsync(
                    SetPosition, [("@node", batch.Node), ("@segment", position.Segment), ("@at_byte", (long)position.Offset)], cancellationToken);
            }

            if (watcher is not null && HourSums.UsageOf(sums.Hours) is { Count: > 0 } added)
                await watcher.AddedAsync(connection, transaction.Transaction, added, cancellationToken);
            // Last: it notes in memory what the leases do not pay for, and a failure of anything after it would not undo that.
            if (follower is not null && HourSums.UsageHere(sums.Hours) is { Count: > 0 } usage)
                await follower.SettleAsync(connection, usage, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            chain.Committed();
            return records.Count;
        }
        finally
        {
            chain.Ended();
        }
    }

    private static async Task AddContentsAsync(
        DbConnection connection, SqlFlavour sql, string node, List<ShippedCall> records, CancellationToken cancellationToken)
    {
        foreach (var record in records)
        {
            if (record.SealedContent is not { } content) continue;
            var organization = sql.Storable(Encoding.UTF8.GetString(record.OrganizationId.Span));
            await ContentTable.InsertAsync(
                connection, new ContentRow(node, record.ChainSequence, record.At, organization, content.Hash, content.Form, content.Data),
                cancellationToken);
        }
    }

    private static async Task<LedgerTransaction> BeginAsync(IStorage storage, bool isFlushed, CancellationToken cancellationToken)
    {
        if (storage.Provider == StorageProvider.Sqlite) return await SqliteLedgerWriter.BeginAsync(storage, isFlushed, cancellationToken);
        var connection = await storage.OpenAsync(cancellationToken);
        try
        {
            return new LedgerTransaction(connection, await storage.Sql.BeginWriteAsync(connection, cancellationToken));
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    // The position is written with the records, so it decides for nearly all of them. Where it cannot, their ids do: if the node has none
    // although it has records, and for calls that a killed process left, which may have been recorded before and are then on a spool twice.
    private static async Task<List<ShippedCall>> NewOfAsync(
        DbConnection connection, LedgerBatch batch, ChainWriter chain, CancellationToken cancellationToken)
    {
        var known = batch.Records.Count == 0 ? null : await ReadPositionAsync(connection, batch.Node, cancellationToken);
        var isUnknown = known is null && batch.Records.Count > 0
            && (await ChainState.FindAsync(connection, batch.Node, "", cancellationToken) is { Sequence: > 0 }
                || await connection.Int64Async("SELECT 1 FROM audit_records LIMIT 1", [], cancellationToken) is not null);
        var fresh = new List<ShippedCall>(batch.Records.Count);
        HashSet<string>? ids = null;
        bool? hasRows = null;
        foreach (var record in batch.Records)
        {
            if (record.Position is { } position && known is { } reached && position <= reached) continue;
            if (isUnknown || record.IsRecovered || record.Position is null)
            {
                ids ??= new HashSet<string>(StringComparer.Ordinal);
                var id = Encoding.UTF8.GetString(record.Id.Span);
                if (!ids.Add(id)) continue;
                // Rows of an earlier version first: their conversion moves them to blocks.
                hasRows ??= await connection.Int64Async("SELECT 1 FROM audit_records LIMIT 1", [], cancellationToken) is not null;
                if (hasRows == true
                    && await connection.Int64Async("SELECT 1 FROM audit_records WHERE id = @id", [("@id", id)], cancellationToken) is not null)
                {
                    continue;
                }
                if (await BlockTable.ContainsAsync(connection, record, chain.Logger, cancellationToken)) continue;
            }
            fresh.Add(record);
        }
        return fresh;
    }

    private static async Task<SpoolPosition?> ReadPositionAsync(DbConnection connection, string node, CancellationToken cancellationToken)
    {
        var found = await connection.QueryAsync(
            "SELECT segment, at_byte FROM spool_positions WHERE node = @node", [("@node", node)],
            row => new SpoolPosition(row.Int64("segment"), row.Int32("at_byte")), cancellationToken);
        return found.Count == 0 ? null : found[0];
    }
}

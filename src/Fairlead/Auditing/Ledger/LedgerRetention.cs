using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Deletes audit records older than <see cref="AuditConfig.Retention"/>, once an hour, a block in one transaction, so that other writers can run in
/// between. The hourly sums stay: they contain nothing about single calls.
/// </summary>
/// <remarks>
/// A node deletes from its own chain, and whole blocks from chains of nodes that have stopped: what it removes is signed with its key, which
/// the owner of another chain may not know, and then could not remove the rest of the block. A running node is recognised by a connection
/// that it holds.
/// </remarks>
internal sealed class LedgerRetention(
    IStorage storage, IConfigurationSource configuration, TimeProvider time, ILogger<LedgerRetention> logger, AuditSigner? signer = null,
    Spool? spool = null) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>A chain without a checkpoint for so long has no running node.</summary>
    private static readonly TimeSpan Stopped = TimeSpan.FromDays(7);

    /// <summary>How often the connection that marks this node as running is checked.</summary>
    private static readonly TimeSpan PresenceInterval = TimeSpan.FromMinutes(1);

    private const int BatchBlocks = 20;

    private const int BatchRows = 1000;

    private readonly BlockEditor _editor = new(storage, signer, time, logger);

    /// <summary>Deletes what is too old now; returns how many records.</summary>
    internal async Task<long> DeleteAsync(CancellationToken cancellationToken)
    {
        if (configuration.Current.Audit.Retention is not { } retention) return 0;
        var before = (time.GetUtcNow() - retention).ToUnixTimeMilliseconds();
        var deleted = 0L;
        var (at, number) = (long.MinValue, 0L);
        var gone = await GoneNodesAsync(cancellationToken);
        while (true)
        {
            var blocks = await OldBlocksAsync(before, at, number, cancellationToken);
            foreach (var block in blocks)
            {
                (at, number) = (block.At, block.Number);
                if (spool is not null && block.Node != spool.Folder.Node && (at >= before || !gone.Contains(block.Node))) continue;
                deleted += await _editor.RemoveAsync(
                    block.Number, (found, place) => found.TimeOf(place) < before, RemovalReason.Retention, cancellationToken);
            }
            if (blocks.Count < BatchBlocks) break;
            await Task.Delay(Pause, time, cancellationToken);
        }
        deleted += await DeleteRowsAsync(before, cancellationToken);
        if (deleted > 0) logger.RetentionDeleted(deleted, retention);
        return deleted;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await using var presence = new NodePresence(storage, time);
        using var timer = new PeriodicTimer(PresenceInterval, time);
        var last = time.GetTimestamp();
        try
        {
            do
            {
                try
                {
                    if (spool is not null) await presence.HoldAsync(PresenceOf(spool.Folder.Node), stoppingToken);
                    if (time.GetElapsedTime(last) < Interval) continue;
                    last = time.GetTimestamp();
                    await DeleteAsync(stoppingToken);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    logger.RetentionFailed(e);
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    internal static string PresenceOf(string node) => "audit " + node;

    // Other nodes that do not run, and have not for long.
    private async Task<HashSet<string>> GoneNodesAsync(CancellationToken cancellationToken)
    {
        var gone = new HashSet<string>(StringComparer.Ordinal);
        if (spool is null) return gone;
        await using var connection = await storage.OpenAsync(cancellationToken);
        var nodes = await connection.QueryAsync(
            """
            SELECT node FROM audit_chains WHERE node <> @own
                AND (node NOT IN (SELECT node FROM spool_positions) OR checkpoint_at < @stopped)
            """,
            [("@own", spool.Folder.Node), ("@stopped", time.GetUtcNow() - Stopped)], row => row.Text("node"), cancellationToken);
        foreach (var node in nodes)
        {
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            if (await storage.Sql.IsGoneAsync(transaction, PresenceOf(node), cancellationToken)) gone.Add(node);
        }
        return gone;
    }

    // What is left of the tables of earlier versions: rows that were not converted yet, or cannot be.
    private async Task<long> DeleteRowsAsync(long before, CancellationToken cancellationToken)
    {
        const string Oldest = "WHERE at < @before ORDER BY at, number";
        var attempts = $"DELETE FROM ledger_attempts WHERE call IN (SELECT number FROM audit_calls {Oldest} LIMIT {BatchRows})";
        var isCompact = storage.Provider == StorageProvider.Sqlite;
        (string Table, string Statement)[] statements = isCompact
            ? [("audit_calls", $"DELETE FROM audit_calls WHERE number IN (SELECT number FROM audit_calls {Oldest} LIMIT {BatchRows})")]
            :
            [
                ("audit_records", $"DELETE FROM audit_records WHERE number IN (SELECT number FROM audit_records {Oldest} LIMIT {BatchRows})"),
                ("ledger_entries",
                    $"DELETE FROM ledger_entries WHERE attempt_id IN (SELECT attempt_id FROM ledger_entries WHERE at < @before LIMIT {BatchRows})"),
            ];
        var deleted = 0L;
        foreach (var (table, statement) in statements)
        {
            while (await DeleteBatchAsync(table, statement) is var count and > 0)
            {
                deleted += count;
                if (count < BatchRows) break;
                await Task.Delay(Pause, time, cancellationToken);
            }
        }
        return deleted;

        async Task<int> DeleteBatchAsync(string table, string statement)
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            // Nearly always there is nothing, and no need for the write lock.
            var any = $"SELECT 1 FROM {table} WHERE at < @before LIMIT 1";
            if (await connection.Int64Async(any, [("@before", before)], cancellationToken) is null) return 0;
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            if (isCompact) await connection.ExecuteAsync(attempts, [("@before", before)], cancellationToken);
            var count = await connection.ExecuteAsync(statement, [("@before", before)], cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            return count;
        }
    }

    // In the order of the index, which has both times: the blocks themselves are not read.
    private async Task<List<(long At, long Number, string Node)>> OldBlocksAsync(
        long before, long afterAt, long afterNumber, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            """
            SELECT last_at, number, node FROM audit_blocks WHERE first_at < @before AND (last_at, number) > (@at, @number)
            ORDER BY last_at, number LIMIT @limit
            """,
            [("@before", before), ("@at", afterAt), ("@number", afterNumber), ("@limit", (long)BatchBlocks)],
            row => (row.Int64("last_at"), row.Int64("number"), row.Text("node")), cancellationToken);
    }
}

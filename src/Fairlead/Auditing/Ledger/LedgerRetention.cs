using Fairlead.Access;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Deletes audit records and their content when their time is over (<see cref="AuditConfig.Retention"/>, and that of organizations), once an hour, a block in one transaction, so that other writers can run in
/// between. The hourly sums stay: they contain nothing about single calls.
/// </summary>
/// <remarks>
/// A node deletes from its own chain, and whole blocks from chains of nodes that have stopped: what it removes is signed with its key, which
/// the owner of another chain may not know, and then could not remove the rest of the block. A running node is recognised by a connection
/// that it holds.
/// </remarks>
internal sealed class LedgerRetention(
    IStorage storage, IConfigurationSource configuration, TimeProvider time, ILogger<LedgerRetention> logger, AuditSigner? signer = null,
    Spool? spool = null, ContentRemover? contents = null) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>A chain without a checkpoint for so long has no running node.</summary>
    private static readonly TimeSpan Stopped = TimeSpan.FromDays(7);

    /// <summary>How often the connection that marks this node as running is checked.</summary>
    private static readonly TimeSpan PresenceInterval = TimeSpan.FromMinutes(1);

    private const int BatchBlocks = 20;

    private const int BatchRows = 1000;

    private const int BatchContents = 200;

    private readonly AuditReader _reader = new(storage);

    private readonly BlockEditor _editor = new(storage, signer, time, logger);

    /// <summary>Deletes what is too old now; returns how many records.</summary>
    internal async Task<long> DeleteAsync(CancellationToken cancellationToken)
    {
        var (config, now) = (configuration.Current.Audit, time.GetUtcNow());
        var own = await OrganizationsAsync(cancellationToken);
        var gone = await GoneNodesAsync(storage, spool, time, cancellationToken);
        await RemoveContentsAsync(RetentionPeriods.OfContents(config, own, now), gone, cancellationToken);

        var periods = RetentionPeriods.OfRecords(config, own, now);
        if (periods.Latest == long.MinValue) return 0;
        var deleted = 0L;
        var (at, number) = (long.MinValue, 0L);
        while (true)
        {
            var blocks = await OldBlocksAsync(periods, at, number, cancellationToken);
            foreach (var block in blocks)
            {
                (at, number) = (block.At, block.Number);
                var isForeign = spool is not null && block.Node != spool.Folder.Node;
                if (block.Expiry == BlockExpiry.None || (isForeign && (block.Expiry != BlockExpiry.All || !gone.Contains(block.Node)))) continue;
                deleted += await _editor.RemoveAsync(
                    block.Number, isForeign ? WholeBlock(periods) : periods.HasExpired, RemovalReason.Retention, cancellationToken);
            }
            if (blocks.Count < BatchBlocks) break;
            await Task.Delay(Pause, time, cancellationToken);
        }
        if (config.Retention is not null) deleted += await DeleteRowsAsync(periods.Default, cancellationToken);
        await ForgetOrganizationsAsync(cancellationToken);
        if (deleted > 0) logger.RetentionDeleted(deleted);
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
    internal static async Task<HashSet<string>> GoneNodesAsync(
        IStorage storage, Spool? spool, TimeProvider time, CancellationToken cancellationToken)
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

    private async Task<List<OrganizationRetention>> OrganizationsAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await OrganizationRetention.AllAsync(connection, cancellationToken);
    }

    // Their times are needed until their last record is gone.
    private async Task ForgetOrganizationsAsync(CancellationToken cancellationToken)
    {
        List<string> deleted;
        await using (var connection = await storage.OpenAsync(cancellationToken))
            deleted = await OrganizationRetention.DeletedAsync(connection, time.GetUtcNow() - Stopped, cancellationToken);
        foreach (var id in deleted)
        {
            if (await HasRecordsAsync(id, cancellationToken)) continue;
            await using var connection = await storage.OpenAsync(cancellationToken);
            await OrganizationRetention.ForgetAsync(connection, id, cancellationToken);
        }
    }

    private async Task<bool> HasRecordsAsync(string organizationId, CancellationToken cancellationToken)
    {
        var query = new AuditQuery { OrganizationId = organizationId, Type = null, Limit = 1 };
        do
        {
            var page = await _reader.ReadAsync(query, cancellationToken);
            if (page.Records.Count > 0) return true;
            query = query with { After = page.Next };
        }
        while (query.After is not null);
        return false;
    }

    private async Task RemoveContentsAsync(RetentionPeriods periods, HashSet<string> gone, CancellationToken cancellationToken)
    {
        if (contents is null || periods.Latest == long.MinValue) return;
        var removed = 0L;
        foreach (var (organization, before) in periods.Own)
            removed += await RemoveContentsAsync(organization, before, _ => true, gone, cancellationToken);
        removed += await RemoveContentsAsync(
            null, periods.Default, old => !periods.HasOwnOf(old.OrganizationId), gone, cancellationToken);
        if (removed > 0) logger.ContentExpired(removed);
    }

    private async Task<long> RemoveContentsAsync(
        string? organization, long before, Func<OldContent, bool> selects, HashSet<string> gone, CancellationToken cancellationToken)
    {
        var removed = 0L;
        var after = (At: long.MinValue, Number: 0L);
        while (before != long.MinValue)
        {
            List<OldContent> found;
            await using (var connection = await storage.OpenAsync(cancellationToken))
                found = await ContentTable.OldAsync(connection, organization, before, after, BatchContents, cancellationToken);
            // As with records, what a running node has is signed by itself.
            var mine = found.Where(old => selects(old) && (spool is null || old.Node == spool.Folder.Node || gone.Contains(old.Node)));
            removed += await contents!.RemoveAsync([.. mine.Select(old => (old.Node, old.Sequence))], RemovalReason.Retention, cancellationToken);
            if (found.Count < BatchContents) break;
            after = (found[^1].At, found[^1].Number);
            await Task.Delay(Pause, time, cancellationToken);
        }
        return removed;
    }

    // In the order of the index, which has both times. The records themselves are not read; their index only if times differ.
    private async Task<List<(long At, long Number, string Node, BlockExpiry Expiry)>> OldBlocksAsync(
        RetentionPeriods periods, long afterAt, long afterNumber, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            $"""
            SELECT last_at, number, node{(periods.HasOwn ? ", terms" : "")} FROM audit_blocks
            WHERE first_at < @before AND (last_at, number) > (@at, @number)
            ORDER BY last_at, number LIMIT @limit
            """,
            [("@before", periods.Latest), ("@at", afterAt), ("@number", afterNumber), ("@limit", (long)BatchBlocks)],
            row => (row.Int64("last_at"), row.Int64("number"), row.Text("node"), ExpiryOf(periods, row)), cancellationToken);
    }

    private static BlockExpiry ExpiryOf(RetentionPeriods periods, SqlRow row)
    {
        if (!periods.HasOwn) return row.Int64("last_at") < periods.Default ? BlockExpiry.All : BlockExpiry.Some;
        try
        {
            return periods.ExpiryOf(new BlockTerms(row.Bytes("terms")));
        }
        catch (BlockFormatException)
        {
            // The editor reads it too, and logs it.
            return BlockExpiry.All;
        }
    }

    // All records of a block or none, by the records themselves: its index may have been changed.
    private static Func<AuditBlock, int, bool> WholeBlock(RetentionPeriods periods)
    {
        bool? hasExpired = null;
        return (block, _) => hasExpired ??= periods.HasExpired(block);
    }
}

using System.Data.Common;
using System.Text;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Converts the records of versions before 104 of the schema, one row each, into blocks: at the start, some hundred in one transaction, so
/// that other writers can run in between. A search finds a record once it is converted. Their sums are there already. They join the chain
/// of the node that converts them: what it signs in another node's chain, that node could not prove.
/// </summary>
internal sealed class LegacyRecords(
    IStorage storage, TimeProvider time, ILogger<LegacyRecords> logger, AuditSigner? signer = null, ChainHeads? heads = null,
    Spool? spool = null) : BackgroundService
{
    /// <summary>The chain of converted records if this process has no spool.</summary>
    internal const string WithoutSpool = "node_converted";

    private const int BatchEntries = 5000;

    private readonly string _node = spool?.Folder.Node ?? WithoutSpool;

    /// <summary>Rows of one transaction.</summary>
    internal const int BatchRows = 512;

    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    // During an upgrade of several nodes, those of an earlier version still add rows.
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    private readonly ChainWriter _chain = new(signer, heads, time, logger);

    /// <summary>Converts all rows that are there; returns how many.</summary>
    internal async Task<long> ConvertAsync(CancellationToken cancellationToken)
    {
        var (converted, after) = (0L, long.MinValue);
        while (true)
        {
            var (rows, last) = await ConvertBatchAsync(after, cancellationToken);
            if (last is null) break;
            (converted, after) = (converted + rows, last.Value);
            if (rows < BatchRows) continue;
            await Task.Delay(Pause, time, cancellationToken);
        }
        if (converted > 0)
        {
            await _chain.CheckpointAsync(storage, _node, cancellationToken);
            logger.Converted(converted);
        }
        // In SQLite they went with their calls.
        if (storage.Provider == StorageProvider.Postgres) await DeleteEntriesAsync(cancellationToken);
        return converted;
    }

    // The attempts are in the records. Also after a start that found no record: the one before may have been stopped here.
    private async Task DeleteEntriesAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var deleted = await storage.ExecuteAsync(
                $"""
                DELETE FROM ledger_entries WHERE attempt_id IN (
                    SELECT attempt_id FROM ledger_entries
                    WHERE NOT EXISTS (SELECT 1 FROM audit_records WHERE id = 'aud_' || substr(ledger_entries.generation_id, 5))
                    LIMIT {BatchEntries})
                """,
                [], cancellationToken);
            if (deleted < BatchEntries) return;
            await Task.Delay(Pause, time, cancellationToken);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        while (!stoppingToken.IsCancellationRequested)
        {
            var delay = Interval;
            try
            {
                await ConvertAsync(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                delay = RetryDelay;
                logger.ConversionFailed(e, delay);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            try
            {
                await Task.Delay(delay, time, stoppingToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task<(int Rows, long? Last)> ConvertBatchAsync(long after, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // Without the write lock first: usually there is nothing.
        if (await connection.Int64Async("SELECT 1 FROM audit_records WHERE number > @after LIMIT 1", [("@after", after)], cancellationToken)
            is null)
        {
            return (0, null);
        }
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        try
        {
            var rows = await connection.QueryAsync(
                $"""
                SELECT number, sequence, record FROM audit_records WHERE number > @after
                ORDER BY number LIMIT {BatchRows}{storage.Sql.ForUpdateSkipLocked}
                """,
                [("@after", after)],
                row => (Number: row.Int64("number"), Sequence: row.Int64("sequence"), Record: row.Text("record")),
                cancellationToken);
            if (rows.Count == 0) return (0, null);
            var calls = new List<ShippedCall>();
            foreach (var row in rows)
            {
                // What is no record stays where it is until it is too old.
                if (ShippedCall.Read(Encoding.UTF8.GetBytes(row.Record), row.Sequence) is not { } call) continue;
                calls.Add(call);
                await DeleteAsync(connection, row.Number, cancellationToken);
            }
            await _chain.AppendAsync(connection, storage.Sql, _node, calls, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            _chain.Committed();
            return (calls.Count, rows[^1].Number);
        }
        finally
        {
            _chain.Ended();
        }
    }

    private Task<int> DeleteAsync(DbConnection connection, long number, CancellationToken cancellationToken) => connection.ExecuteAsync(
        storage.Provider == StorageProvider.Sqlite
            ? "DELETE FROM ledger_attempts WHERE call = @number; DELETE FROM audit_calls WHERE number = @number"
            : "DELETE FROM audit_records WHERE number = @number",
        [("@number", number)], cancellationToken);
}

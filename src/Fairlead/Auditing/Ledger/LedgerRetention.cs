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
/// A node deletes from its own chain, and from chains of nodes that have stopped: what it removes is signed with its key, which the owner of
/// another chain may not know.
/// </remarks>
internal sealed class LedgerRetention(
    IStorage storage, IConfigurationSource configuration, TimeProvider time, ILogger<LedgerRetention> logger, AuditSigner? signer = null,
    Spool? spool = null) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>A chain without a checkpoint for so long has no running node.</summary>
    private static readonly TimeSpan Stopped = TimeSpan.FromDays(7);

    private const int BatchBlocks = 20;

    private readonly BlockEditor _editor = new(storage, signer, time, logger);

    /// <summary>Deletes what is too old now; returns how many records.</summary>
    internal async Task<long> DeleteAsync(CancellationToken cancellationToken)
    {
        if (configuration.Current.Audit.Retention is not { } retention) return 0;
        var before = (time.GetUtcNow() - retention).ToUnixTimeMilliseconds();
        var deleted = 0L;
        var (at, number) = (long.MinValue, 0L);
        while (true)
        {
            var blocks = await OldBlocksAsync(before, at, number, cancellationToken);
            foreach (var block in blocks)
            {
                deleted += await _editor.RemoveAsync(
                    block.Number, (found, place) => found.TimeOf(place) < before, RemovalReason.Retention, cancellationToken);
                (at, number) = block;
            }
            if (blocks.Count < BatchBlocks) break;
            await Task.Delay(Pause, time, cancellationToken);
        }
        if (deleted > 0) logger.RetentionDeleted(deleted, retention);
        return deleted;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await DeleteAsync(stoppingToken);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    logger.RetentionFailed(e);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    // In the order of the index, which has both times: the blocks themselves are not read.
    private async Task<List<(long At, long Number)>> OldBlocksAsync(
        long before, long afterAt, long afterNumber, CancellationToken cancellationToken)
    {
        const string Mine = """
             AND (node = @own OR node NOT IN (SELECT node FROM spool_positions)
                OR node IN (SELECT node FROM audit_chains WHERE checkpoint_at < @stopped))
            """;
        await using var connection = await storage.OpenAsync(cancellationToken);
        List<(string Name, SqlValue Value)> values =
            [("@before", before), ("@at", afterAt), ("@number", afterNumber), ("@limit", (long)BatchBlocks)];
        if (spool is not null)
        {
            values.Add(("@own", spool.Folder.Node));
            values.Add(("@stopped", time.GetUtcNow() - Stopped));
        }
        return await connection.QueryAsync(
            $"""
            SELECT last_at, number FROM audit_blocks WHERE first_at < @before AND (last_at, number) > (@at, @number){(spool is null ? "" : Mine)}
            ORDER BY last_at, number LIMIT @limit
            """,
            [.. values], row => (row.Int64("last_at"), row.Int64("number")), cancellationToken);
    }
}

using Fairlead.Configuration;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Deletes audit records and ledger entries older than <see cref="AuditConfig.Retention"/>, once an hour, a few at a time so that other
/// writers can run in between. The hourly sums stay: they contain nothing about single calls.
/// </summary>
internal sealed class LedgerRetention(
    IStorage storage, IConfigurationSource configuration, TimeProvider time, ILogger<LedgerRetention> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    /// <summary>Rows of one transaction.</summary>
    internal const int BatchRows = 500;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>Deletes what is too old now; returns how many rows.</summary>
    internal async Task<long> DeleteAsync(CancellationToken cancellationToken)
    {
        if (configuration.Current.Audit.Retention is not { } retention) return 0;
        var before = (time.GetUtcNow() - retention).ToUnixTimeMilliseconds();
        var deleted = 0L;
        if (storage.Provider == StorageProvider.Sqlite)
        {
            // Entries first, because they are found by their call. Calls with several attempts are rare, so 500 calls have about 500
            // entries.
            deleted += await DeleteAsync("""
                DELETE FROM ledger_attempts WHERE call IN (SELECT number FROM audit_calls WHERE at < @before ORDER BY at, number LIMIT 500);
                DELETE FROM audit_calls WHERE number IN (SELECT number FROM audit_calls WHERE at < @before ORDER BY at, number LIMIT 500)
                """, before, cancellationToken);
        }
        else
        {
            deleted += await DeleteAsync($"""
                DELETE FROM audit_records WHERE number IN (
                    SELECT number FROM audit_records WHERE at < @before ORDER BY at LIMIT 500{storage.Sql.ForUpdateSkipLocked})
                """, before, cancellationToken);
            deleted += await DeleteAsync($"""
                DELETE FROM ledger_entries WHERE attempt_id IN (
                    SELECT attempt_id FROM ledger_entries WHERE at < @before ORDER BY at LIMIT 500{storage.Sql.ForUpdateSkipLocked})
                """, before, cancellationToken);
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

    private async Task<long> DeleteAsync(string sql, long before, CancellationToken cancellationToken)
    {
        var total = 0L;
        while (true)
        {
            int count;
            await using (var connection = await storage.OpenAsync(cancellationToken))
            {
                await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
                count = await connection.ExecuteAsync(sql, [("@before", before)], cancellationToken);
                await transaction.CommitAsync(cancellationToken);
            }
            total += count;
            if (count < BatchRows) return total;
            await Task.Delay(Pause, time, cancellationToken);
        }
    }
}

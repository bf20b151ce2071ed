using System.Data.Common;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Erasure;

/// <summary>
/// Overwrites what deleted rows leave in the files of the database. In SQLite: pages that no table uses any more, and the write-ahead log.
/// In PostgreSQL: dead rows, by a vacuum of the tables; blocks on the disk, its own log and its backups are the operator's.
/// </summary>
internal sealed class ErasureCleaning(IStorage storage, TimeProvider time, ILogger<ErasureCleaning> logger)
{
    /// <summary>Bytes of one transaction: a few milliseconds for other writers.</summary>
    private const int FillBytes = 2 * 1024 * 1024;

    private const int MaxTruncations = 50;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private static readonly TimeSpan TruncationPause = TimeSpan.FromMilliseconds(200);

    /// <summary>How often a lease is renewed while one statement runs.</summary>
    private static readonly TimeSpan AliveInterval = TimeSpan.FromSeconds(4);

    /// <summary>True if nothing is left; false if something is until the database uses its place again.</summary>
    public Task<bool> CleanAsync(IEnumerable<string> tables, Func<Task> alive, CancellationToken cancellationToken) =>
        storage.Provider == StorageProvider.Sqlite ? CleanFileAsync(alive, cancellationToken) : VacuumAsync(tables, alive, cancellationToken);

    // Free pages keep their old content until they are used again. So all of them are used once, for zeros.
    private async Task<bool> CleanFileAsync(Func<Task> alive, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // What a process that died has left.
        await EmptyAsync(connection, alive, cancellationToken);
        var pageBytes = await connection.Int64Async("PRAGMA page_size", [], cancellationToken) ?? 4096;
        // No more than there are now: what others free meanwhile is not of this erasure, and may never end.
        var left = await connection.Int64Async("PRAGMA freelist_count", [], cancellationToken) ?? 0;
        for (var id = 0L; left > 0 && await connection.Int64Async("PRAGMA freelist_count", [], cancellationToken) is { } free and > 0; id++)
        {
            // Each row also takes a page or two that only point to others.
            var bytes = Math.Max(pageBytes / 2, Math.Min(FillBytes, (free - 2) * (pageBytes - 4)));
            await storage.WriteAsync(
                connection, "INSERT INTO erasure_filler (id, content) VALUES (@id, zeroblob(@bytes))", [("@id", id), ("@bytes", bytes)],
                cancellationToken);
            left -= Math.Max(1, bytes / pageBytes);
            if (id % 50 == 0) await alive();
            await Task.Delay(Pause, time, cancellationToken);
        }
        await EmptyAsync(connection, alive, cancellationToken);
        return await TruncateLogAsync(connection, cancellationToken);
    }

    private async Task EmptyAsync(DbConnection connection, Func<Task> alive, CancellationToken cancellationToken)
    {
        while (await storage.WriteAsync(
            connection, "DELETE FROM erasure_filler WHERE id IN (SELECT id FROM erasure_filler ORDER BY id LIMIT 8)", [], cancellationToken) > 0)
        {
            await alive();
        }
    }

    // Readers and writers have the log in use most of the time, each for a moment.
    private async Task<bool> TruncateLogAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        // It holds the write lock while it waits for readers. The next user of the connection sets the usual time again.
        await connection.ExecuteAsync("PRAGMA busy_timeout = 50", [], cancellationToken);
        for (var tries = 0; tries < MaxTruncations; tries++)
        {
            try
            {
                var busy = await connection.FirstOrDefaultAsync(
                    "PRAGMA wal_checkpoint(TRUNCATE)", [], row => row.Int64("busy"), cancellationToken);
                if (busy == 0) return true;
            }
            catch (DbException e) when (StorageErrors.IsCollision(e))
            {
                // Another connection checkpoints.
            }
            await Task.Delay(TruncationPause, time, cancellationToken);
        }
        logger.LogNotTruncated();
        return false;
    }

    private async Task<bool> VacuumAsync(IEnumerable<string> tables, Func<Task> alive, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var isClean = true;
        foreach (var table in tables.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            await alive();
            try
            {
                // A large table takes minutes.
                var vacuum = connection.VacuumAsync(table, cancellationToken);
                while (await Task.WhenAny(vacuum, Task.Delay(AliveInterval, time, cancellationToken)) != vacuum)
                {
                    if (cancellationToken.IsCancellationRequested) break;
                    await alive();
                }
                await vacuum;
            }
            catch (DbException e) when (!StorageErrors.IsUnavailable(e) && !StorageErrors.IsCollision(e))
            {
                // Such as a limit of time for statements.
                logger.TableNotVacuumed(table, StorageErrors.Describe(e));
                isClean = false;
            }
        }
        return isClean;
    }
}

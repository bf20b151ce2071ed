using System.Data.Common;
using System.Globalization;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>The queue of jobs in the database. A change is committed when its method returns. Thread-safe.</summary>
internal sealed class GenerationQueue(IStorage storage, GenerationSql sql, TimeProvider time)
{
    /// <summary>
    /// Takes up to <paramref name="max"/> queued generations, in the order of class and age, and starts a run of each. No two callers get
    /// the same one. Generations that ran when a process died come first, one at a time on all nodes, and only for a caller that is
    /// <paramref name="isIdle"/>; any other caller is asked to become idle. Without bodies: a request is read when its run starts.
    /// </summary>
    public Task<LeasedGenerations> LeaseAsync(
        string owner, TimeSpan lease, int max, bool isIdle, CancellationToken cancellationToken) =>
        LeaseAsync(owner, lease, max, isIdle, JobLineFilter.All, cancellationToken);

    /// <summary>The same for the lines that <paramref name="lines"/> lets pass.</summary>
    public async Task<LeasedGenerations> LeaseAsync(
        string owner, TimeSpan lease, int max, bool isIdle, JobLineFilter lines, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (await NextIsSuspectAsync(connection, cancellationToken))
        {
            // A suspect runs alone: this node takes nothing else until it is idle.
            if (!isIdle) return new LeasedGenerations([], IsClearing: true);
            return await StorageRetry.RunAsync(() => LeaseSuspectAsync(connection, owner, lease, cancellationToken));
        }
        return await StorageRetry.RunAsync(async () =>
        {
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            var taken = await TakeAsync(
                connection, owner, lease,
                $"status = 'queued' AND suspicion = 0 AND {sql.IsAvailable}{lines.Condition} ORDER BY class_rank, created_at, id",
                max, lines, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            return new LeasedGenerations(taken, IsClearing: false);
        });
    }

    private async Task<LeasedGenerations> LeaseSuspectAsync(
        DbConnection connection, string owner, TimeSpan lease, CancellationToken cancellationToken)
    {
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await storage.Sql.LockAsync(transaction, StorageLock.Suspects, cancellationToken);
        // Checked again under the lock: only one runs at a time on all nodes.
        if (!await NextIsSuspectAsync(connection, cancellationToken)) return new LeasedGenerations([], IsClearing: false);
        var taken = await TakeAsync(
            connection, owner, lease,
            $"status = 'queued' AND suspicion <> 0 AND {sql.IsAvailable} ORDER BY suspicion, class_rank, created_at, id",
            1, JobLineFilter.All, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return new LeasedGenerations(taken, IsClearing: false);
    }

    /// <summary>Whether a suspect is available and none runs.</summary>
    private async Task<bool> NextIsSuspectAsync(DbConnection connection, CancellationToken cancellationToken) =>
        await connection.FirstOrDefaultAsync(
            $"""
            SELECT CAST(COALESCE(MAX(CASE WHEN status = 'queued' AND {sql.IsAvailable} THEN 1 ELSE 0 END), 0) AS BIGINT) AS waits,
                CAST(COALESCE(MAX(CASE WHEN status = 'in_progress' AND suspicion > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS is_running
            FROM generations WHERE suspicion <> 0 AND (status = 'queued' OR status = 'in_progress')
            """,
            [sql.Clock], row => row.Bool("waits") && !row.Bool("is_running"), cancellationToken);

    private async Task<IReadOnlyList<GenerationRecord>> TakeAsync(
        DbConnection connection, string owner, TimeSpan lease, string condition, int max, JobLineFilter lines,
        CancellationToken cancellationToken)
    {
        // Chosen once, before the update: PostgreSQL may evaluate a subquery of a condition for each row, and would exceed the limit.
        var rows = await connection.QueryAsync(
            $"""
            WITH chosen AS MATERIALIZED (
                SELECT id FROM generations WHERE {condition}
                LIMIT {max.ToString(CultureInfo.InvariantCulture)}{storage.Sql.ForUpdateSkipLocked})
            UPDATE generations SET status = 'in_progress', runs = runs + 1, started_at = COALESCE(started_at, @now), lease_owner = @owner,
                lease_until = {sql.LeaseEnd}, progress = NULL
            WHERE id IN (SELECT id FROM chosen)
            RETURNING {GenerationSql.Columns}
            """,
            [
                ("@now", time.GetUtcNow()), ("@owner", owner), GenerationSql.Lease(lease), sql.Clock,
                .. lines.Values(storage.Sql),
            ],
            GenerationSql.Read, cancellationToken);
        // RETURNING has no order.
        return
        [
            .. rows.OrderBy(row => GenerationSql.RankOf(row.Class)).ThenBy(row => row.CreatedAt)
                .ThenBy(row => row.Id, StringComparer.Ordinal),
        ];
    }

    /// <summary>The request of a generation that was leased; null if the generation is gone.</summary>
    public async Task<byte[]?> RequestAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.BytesAsync("SELECT request FROM generations WHERE id = @id", [("@id", id)], cancellationToken);
    }

    /// <summary>
    /// Puts a generation back into the queue: after a pause, or because its process could not continue (<paramref name="countRun"/> false:
    /// the run does not count). A generation whose cancellation was requested is left to its run, which ends it.
    /// </summary>
    public Task<GenerationReturn> ReturnAsync(
        string id, string owner, int run, TimeSpan pause, bool countRun, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var cancelRequested = await connection.Int64Async(
            $"SELECT cancel_requested FROM generations WHERE {GenerationSql.IsHeldByRun}{storage.Sql.ForUpdate}",
            [("@id", id), ("@owner", owner), ("@run", run)], cancellationToken);
        if (cancelRequested is null) return GenerationReturn.Lost;
        if (cancelRequested != 0) return GenerationReturn.CancelRequested;

        // A run that ended by itself did not kill its process, so its generation is no longer a suspect.
        await connection.ExecuteAsync(
            $"""
            UPDATE generations SET status = 'queued',
                available_at = {(pause > TimeSpan.Zero ? $"{storage.Sql.Clock} + @pause" : "created_at")},
                lease_owner = NULL, lease_until = NULL, progress = NULL, returns = returns + @returned,
                suspicion = {(countRun ? "0" : "suspicion")}
            WHERE {GenerationSql.IsHeldByRun}
            """,
            [
                ("@id", id), ("@owner", owner), ("@run", run), ("@pause", (long)pause.TotalMilliseconds), ("@returned", !countRun),
                sql.Clock,
            ],
            cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return GenerationReturn.Returned;
    });

    /// <summary>Those of <paramref name="ids"/> that are in the queue.</summary>
    public async Task<IReadOnlySet<string>> WaitingAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        var waiting = new HashSet<string>(StringComparer.Ordinal);
        await using var connection = await storage.OpenAsync(cancellationToken);
        foreach (var id in ids)
        {
            var found = await connection.Int64Async(
                "SELECT 1 FROM generations WHERE id = @id AND status = 'queued'", [("@id", id)], cancellationToken);
            if (found is not null) waiting.Add(id);
        }
        return waiting;
    }
}

/// <summary>What a caller of the queue may start now.</summary>
/// <param name="Taken">Each has a new run.</param>
/// <param name="IsClearing">A suspect waits until it can run alone: the caller should finish its runs and start none.</param>
internal sealed record LeasedGenerations(IReadOnlyList<GenerationRecord> Taken, bool IsClearing);

/// <summary>Result of returning a generation to the queue.</summary>
internal enum GenerationReturn
{
    Returned,

    /// <summary>The same, because its run must wait; its reservation is kept.</summary>
    Postponed,

    /// <summary>Nothing was written: its cancellation was requested.</summary>
    CancelRequested,

    /// <summary>Nothing was written: another run has the generation.</summary>
    Lost,
}

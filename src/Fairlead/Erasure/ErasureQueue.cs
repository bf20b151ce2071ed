using Fairlead.Storage;

namespace Fairlead.Erasure;

/// <summary>
/// Erasures that are not completed: one node at a time leases one, and notes after each portion how far it is. Thread-safe.
/// </summary>
internal sealed class ErasureQueue(IStorage storage, TimeProvider time)
{
    /// <summary>How long a record that arrives late waits for what its call may still write.</summary>
    private static readonly TimeSpan LatePause = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan MinRoundPause = TimeSpan.FromSeconds(15);

    /// <summary>Between two rounds, while a store does not respond or a node does not run. It is for days, maybe.</summary>
    private static readonly TimeSpan MaxRoundPause = TimeSpan.FromMinutes(10);

    private readonly SteadyClock _clock = new(time);

    /// <summary>The oldest one that is due; null if there is none, or another node has it.</summary>
    public Task<ErasureRow?> LeaseAsync(string owner, TimeSpan lease, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // Nearly always there is nothing, and no need for the write lock.
        if (await connection.Int64Async(
            "SELECT 1 FROM erasures WHERE status = 'queued' OR status = 'running' LIMIT 1", [], cancellationToken) is null)
        {
            return null;
        }
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var rows = await connection.QueryAsync(
            $"""
            WITH chosen AS MATERIALIZED (
                SELECT id AS chosen_id FROM erasures WHERE (status = 'queued' OR status = 'running') AND next_at <= {storage.Sql.Clock}
                    AND (lease_until IS NULL OR lease_until < {storage.Sql.Clock})
                ORDER BY next_at, id LIMIT 1{storage.Sql.ForUpdateSkipLocked})
            UPDATE erasures SET lease_owner = @owner, lease_until = {storage.Sql.Clock} + @lease, status = 'running'
            WHERE id IN (SELECT chosen_id FROM chosen)
            RETURNING {ErasureTable.AllColumns}
            """,
            [("@owner", owner), ("@lease", (long)lease.TotalMilliseconds), Clock], ErasureTable.Read, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return rows.Count == 0 ? null : rows[0];
    });

    /// <summary>Frees the leases of processes that stopped. Only correct when no other process can use this database.</summary>
    public Task ReleaseAllAsync(CancellationToken cancellationToken) => storage.ExecuteAsync(
        "UPDATE erasures SET lease_owner = NULL, lease_until = NULL WHERE lease_until IS NOT NULL", [], cancellationToken);

    /// <inheritdoc cref="ErasureTable.ResumeFailedAsync"/>
    public async Task ResumeFailedAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await ErasureTable.ResumeFailedAsync(connection, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <inheritdoc cref="ErasureTable.NoteErrorAsync"/>
    public async Task NoteAsync(string id, string error, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await ErasureTable.NoteErrorAsync(connection, id, error, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    public Task RenewAsync(string id, string owner, TimeSpan lease, CancellationToken cancellationToken) => storage.ExecuteAsync(
        $"UPDATE erasures SET lease_until = {storage.Sql.Clock} + @lease WHERE id = @id AND lease_owner = @owner",
        [("@lease", (long)lease.TotalMilliseconds), ("@id", id), ("@owner", owner), Clock], cancellationToken);

    /// <summary>Notes that a portion is done, with what it found and erased, in one transaction. False if another node has the lease.</summary>
    public Task<bool> AdvanceAsync(
        ErasureRow row, string owner, TimeSpan lease, string step, string cursor, IReadOnlyList<FoundCall> found, (string Store, int Count)? erased,
        CancellationToken cancellationToken, string? leftOut = null) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // The place is compared too, so that a commit whose response was lost does not count twice.
        var changed = await connection.ExecuteAsync(
            $"""
            UPDATE erasures SET step = @step, step_cursor = @cursor, failures = 0, lease_until = {storage.Sql.Clock} + @lease,
                waiting_for = {(leftOut is not null ? "@left_out" : row.Step == ErasureWorker.AfterSources ? "NULL" : "waiting_for")}
            WHERE id = @id AND lease_owner = @owner AND step = @old_step AND step_cursor = @old_cursor
            """,
            [
                ("@step", step), ("@cursor", cursor), ("@lease", (long)lease.TotalMilliseconds), ("@id", row.Id), ("@owner", owner),
                ("@old_step", row.Step), ("@old_cursor", row.Cursor), ("@left_out", leftOut), Clock,
            ],
            cancellationToken);
        if (changed == 0) return false;
        await ErasureTable.AddAsync(connection, row, found, cancellationToken);
        if (erased is var (store, count)) await ErasureTable.CountAsync(connection, row.Id, store, count, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    });

    /// <summary>Ends the lease; the erasure goes on after a pause.</summary>
    public Task ReleaseAsync(string id, string owner, TimeSpan pause, CancellationToken cancellationToken) => storage.ExecuteAsync(
        $"""
        UPDATE erasures SET lease_owner = NULL, lease_until = NULL, next_at = {storage.Sql.Clock} + @pause WHERE id = @id AND lease_owner = @owner
        """,
        [("@pause", (long)pause.TotalMilliseconds), ("@id", id), ("@owner", owner), Clock], cancellationToken);

    /// <summary>A portion failed: another try after a pause.</summary>
    public Task FailAsync(ErasureRow row, string owner, TimeSpan pause, CancellationToken cancellationToken) => storage.ExecuteAsync(
        $"""
        UPDATE erasures SET lease_owner = NULL, lease_until = NULL, failures = failures + 1, next_at = {storage.Sql.Clock} + @pause
        WHERE id = @id AND lease_owner = @owner
        """,
        [("@pause", (long)pause.TotalMilliseconds), ("@id", row.Id), ("@owner", owner), Clock], cancellationToken);

    /// <summary>A part failed too often: the erasure goes on with the next one, and does not count as completed.</summary>
    /// <param name="row">The erasure.</param>
    /// <param name="owner">Has the lease.</param>
    /// <param name="step">The next part.</param>
    /// <param name="leftOut">The part that is tried again in the next round; null if it is given up.</param>
    /// <param name="error">Why it is given up; null if it is not.</param>
    /// <param name="cancellationToken">Stops before the change.</param>
    public Task SkipAsync(
        ErasureRow row, string owner, string step, string? leftOut, string? error, CancellationToken cancellationToken) => storage.ExecuteAsync(
        $"""
        UPDATE erasures SET lease_owner = NULL, lease_until = NULL, failures = 0, step = @step, step_cursor = '',
            waiting_for = COALESCE(@left_out, waiting_for),
            error = CASE WHEN error IS NULL OR error IN ({ErasureTable.Harmless}) THEN COALESCE(@error, error) ELSE error END
        WHERE id = @id AND lease_owner = @owner
        """,
        [("@step", step), ("@left_out", leftOut), ("@error", error), ("@id", row.Id), ("@owner", owner)], cancellationToken);

    /// <summary>
    /// All is erased. Starts again if records have arrived meanwhile, or if something was left out. True if it is completed, or has failed.
    /// </summary>
    public Task<bool> CompleteAsync(ErasureRow row, string owner, string restart, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var completed = await connection.ExecuteAsync(
            $"""
            UPDATE erasures SET status = CASE WHEN error IS NULL OR error IN ({ErasureTable.Harmless}) THEN 'completed' ELSE 'failed' END,
                error = CASE WHEN error IS NULL AND kind = 'generation'
                    AND NOT EXISTS (SELECT 1 FROM erased_generations WHERE erasure_id = @id) THEN @not_found ELSE error END,
                completed_at = @now, step = '', step_cursor = '', rounds = 0, lease_owner = NULL, lease_until = NULL
            WHERE id = @id AND lease_owner = @owner AND again = 0 AND waiting_for IS NULL
            """,
            [("@now", time.GetUtcNow()), ("@id", row.Id), ("@owner", owner), ("@not_found", ErasureRow.NotFound)], cancellationToken);
        if (completed == 0)
        {
            // What a call writes after its record follows within the pause.
            var pause = row.WaitingFor is null ? LatePause
                : TimeSpan.FromSeconds(Math.Min(MaxRoundPause.TotalSeconds, MinRoundPause.TotalSeconds * Math.Pow(2, Math.Min(row.Rounds, 10))));
            await connection.ExecuteAsync(
                $"""
                UPDATE erasures SET again = 0, rounds = rounds + CASE WHEN waiting_for IS NULL THEN 0 ELSE 1 END,
                    step = @step, step_cursor = '', next_at = {storage.Sql.Clock} + @pause, lease_owner = NULL, lease_until = NULL
                WHERE id = @id AND lease_owner = @owner
                """,
                [("@step", restart), ("@pause", (long)pause.TotalMilliseconds), ("@id", row.Id), ("@owner", owner), Clock], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return completed > 0;
    });

    /// <summary>Records of the erasure have arrived after it has looked for them: it erases what they name, in this transaction.</summary>
    public async Task AddLateAsync(
        System.Data.Common.DbConnection connection, ErasureRow row, IReadOnlyList<FoundCall> calls, CancellationToken cancellationToken)
    {
        await ErasureTable.AddAsync(connection, row, calls, cancellationToken);
        await connection.ExecuteAsync(
            $"""
            UPDATE erasures SET again = CASE WHEN status IN ('completed', 'failed') THEN 0 ELSE 1 END,
                step = CASE WHEN status IN ('completed', 'failed') THEN @step ELSE step END,
                step_cursor = CASE WHEN status IN ('completed', 'failed') THEN '' ELSE step_cursor END,
                next_at = CASE WHEN status IN ('completed', 'failed') THEN {storage.Sql.Clock} + @pause ELSE next_at END,
                error = CASE WHEN error IN ({ErasureTable.Harmless}) THEN NULL ELSE error END,
                status = CASE WHEN status IN ('completed', 'failed') THEN 'running' ELSE status END
            WHERE id = @id
            """,
            [("@step", ErasureWorker.AfterSources), ("@pause", (long)LatePause.TotalMilliseconds), ("@id", row.Id), Clock], cancellationToken);
    }

    private (string Name, SqlValue Value) Clock => ("@clock", _clock.UtcNow);
}

using Fairlead.Storage;

namespace Fairlead.Erasure;

/// <summary>
/// Erasures that are not completed: one node at a time leases one, and notes after each portion how far it is. Thread-safe.
/// </summary>
internal sealed class ErasureQueue(IStorage storage, TimeProvider time)
{
    /// <summary>How long a record that arrives late waits for what its call may still write.</summary>
    private static readonly TimeSpan LatePause = TimeSpan.FromSeconds(2);

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

    public Task RenewAsync(string id, string owner, TimeSpan lease, CancellationToken cancellationToken) => storage.ExecuteAsync(
        $"UPDATE erasures SET lease_until = {storage.Sql.Clock} + @lease WHERE id = @id AND lease_owner = @owner",
        [("@lease", (long)lease.TotalMilliseconds), ("@id", id), ("@owner", owner), Clock], cancellationToken);

    /// <summary>Notes that a portion is done, with what it found and erased, in one transaction. False if another node has the lease.</summary>
    public Task<bool> AdvanceAsync(
        ErasureRow row, string owner, TimeSpan lease, string step, string cursor, IReadOnlyList<FoundCall> found, (string Store, int Count)? erased,
        CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // The place is compared too, so that a commit whose response was lost does not count twice.
        var changed = await connection.ExecuteAsync(
            $"""
            UPDATE erasures SET step = @step, step_cursor = @cursor, failures = 0, lease_until = {storage.Sql.Clock} + @lease
            WHERE id = @id AND lease_owner = @owner AND step = @old_step AND step_cursor = @old_cursor
            """,
            [
                ("@step", step), ("@cursor", cursor), ("@lease", (long)lease.TotalMilliseconds), ("@id", row.Id), ("@owner", owner),
                ("@old_step", row.Step), ("@old_cursor", row.Cursor), Clock,
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

    /// <summary>A portion failed: another try after a pause, or none if there were too many.</summary>
    public Task FailAsync(ErasureRow row, string owner, TimeSpan? pause, string error, CancellationToken cancellationToken) => storage.ExecuteAsync(
        $"""
        UPDATE erasures SET lease_owner = NULL, lease_until = NULL, failures = failures + 1, next_at = {storage.Sql.Clock} + @pause,
            status = @status, error = COALESCE(@error, error)
        WHERE id = @id AND lease_owner = @owner
        """,
        [
            ("@pause", (long)(pause ?? TimeSpan.Zero).TotalMilliseconds), ("@status", pause is null ? ErasureRow.Failed : ErasureRow.Running),
            ("@error", pause is null ? error : null), ("@id", row.Id), ("@owner", owner), Clock,
        ],
        cancellationToken);

    /// <summary>All is erased. Starts again if records have arrived meanwhile. True if it is completed.</summary>
    public Task<bool> CompleteAsync(ErasureRow row, string owner, string restart, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var completed = await connection.ExecuteAsync(
            """
            UPDATE erasures SET status = CASE WHEN error IS NULL THEN 'completed' ELSE 'failed' END, completed_at = @now, step = '',
                step_cursor = '', lease_owner = NULL, lease_until = NULL
            WHERE id = @id AND lease_owner = @owner AND again = 0
            """,
            [("@now", time.GetUtcNow()), ("@id", row.Id), ("@owner", owner)], cancellationToken);
        if (completed == 0)
        {
            await connection.ExecuteAsync(
                """
                UPDATE erasures SET again = 0, step = @step, step_cursor = '', lease_owner = NULL, lease_until = NULL
                WHERE id = @id AND lease_owner = @owner
                """,
                [("@step", restart), ("@id", row.Id), ("@owner", owner)], cancellationToken);
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
            UPDATE erasures SET again = CASE WHEN status = 'completed' THEN 0 ELSE 1 END,
                step = CASE WHEN status = 'completed' THEN @step ELSE step END,
                step_cursor = CASE WHEN status = 'completed' THEN '' ELSE step_cursor END,
                next_at = CASE WHEN status = 'completed' THEN {storage.Sql.Clock} + @pause ELSE next_at END,
                status = CASE WHEN status = 'completed' THEN 'running' ELSE status END
            WHERE id = @id
            """,
            [("@step", ErasureWorker.AfterSources), ("@pause", (long)LatePause.TotalMilliseconds), ("@id", row.Id), Clock], cancellationToken);
    }

    private (string Name, SqlValue Value) Clock => ("@clock", _clock.UtcNow);
}

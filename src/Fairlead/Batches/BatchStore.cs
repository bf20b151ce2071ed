using System.Data.Common;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Batches;

/// <summary>
/// Batches in the database. A change is committed when its method returns. Methods that take an owner do nothing, and return false, once
/// another owner has the lease. Thread-safe.
/// </summary>
internal sealed class BatchStore(
    IStorage storage, IGenerationInserter generations, FileStore files, IWebhookOutbox outbox, TimeProvider time)
{
    private const string Columns = """
        id, organization_id, project_id, key_id, endpoint, input_file_id, status, ending, model, errors, output_file_id, error_file_id,
        created_at, expires_at, in_progress_at, finalizing_at, cancelling_at, ended_at, total, done, failures, usage, metadata, output_ttl,
        fed_lines, fed_offset, idempotency_key, fingerprint
        """;

    private readonly SteadyClock _clock = new(time);

    /// <summary>Adds a batch and holds its input file. False when that file was deleted.</summary>
    /// <exception cref="DbException">
    /// Among others, the Idempotency-Key is taken (<see cref="StorageErrors.IsUniqueViolation"/>).
    /// </exception>
    /// <exception cref="UnknownCommitException">It may be there.</exception>
    public Task<bool> AddAsync(BatchRecord batch, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var isHeld = await files.HoldAsync(connection, batch.ProjectId, batch.InputFileId, cancellationToken);
        if (attempt.IsRepeat
            && await IsThereAsync(connection, "SELECT 1 FROM batches WHERE id = @id", batch.Id, cancellationToken))
        {
            return true;
        }
        if (!isHeld) return false;
        await connection.ExecuteAsync(
            """
            INSERT INTO batches (id, organization_id, project_id, key_id, endpoint, input_file_id, status, created_at, expires_at, metadata,
                output_ttl, idempotency_key, fingerprint, next_at)
            VALUES (@id, @organization, @project, @key, @endpoint, @file, @status, @created, @expires, @metadata,
                @ttl, @idempotency, @fingerprint, 0)
            """,
            [
                ("@id", batch.Id), ("@organization", batch.OrganizationId), ("@project", batch.ProjectId), ("@key", batch.KeyId),
                ("@endpoint", batch.Endpoint), ("@file", batch.InputFileId), ("@status", batch.Status), ("@created", batch.CreatedAt),
                ("@expires", batch.ExpiresAt), ("@metadata", MetadataOf(batch)),
                ("@ttl", batch.OutputTtl is { } ttl ? (long)ttl.TotalSeconds : (long?)null), ("@idempotency", batch.IdempotencyKey),
                ("@fingerprint", batch.Fingerprint),
            ],
            cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    private static async Task<bool> IsThereAsync(DbConnection connection, string select, string id, CancellationToken cancellationToken) =>
        await connection.Int64Async(select, [("@id", id)], cancellationToken) is not null;

    /// <summary>Null when the project has no batch of this id.</summary>
    public Task<BatchRecord?> FindAsync(string projectId, string id, CancellationToken cancellationToken) =>
        FindAsync("id", projectId, id, cancellationToken);

    /// <summary>The batch that a project created with an Idempotency-Key, or null.</summary>
    public Task<BatchRecord?> FindByKeyAsync(string projectId, string key, CancellationToken cancellationToken) =>
        FindAsync("idempotency_key", projectId, key, cancellationToken);

    /// <summary>Newest first.</summary>
    public async Task<IReadOnlyList<BatchRecord>> ListAsync(string projectId, string? after, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var rows = await connection.QueryAsync(
            $"SELECT {Columns} FROM batches WHERE project_id = @project{(after is null ? "" : " AND id < @after")} "
            + "ORDER BY id DESC LIMIT @limit",
            [("@project", projectId), ("@after", after is null ? null : storage.Sql.Storable(after)), ("@limit", limit)], Read,
            cancellationToken);
        for (var i = 0; i < rows.Count; i++) rows[i] = await CountedAsync(connection, rows[i], cancellationToken);
        return rows;
    }

    /// <summary>Leases up to <paramref name="most"/> batches that are due. No two callers get the same one.</summary>
    public Task<IReadOnlyList<BatchRecord>> LeaseAsync(string owner, TimeSpan lease, int most, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync<IReadOnlyList<BatchRecord>>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var rows = await connection.QueryAsync(
            $"""
            WITH chosen AS MATERIALIZED (
                SELECT id FROM batches
                WHERE ended_at IS NULL AND next_at <= {storage.Sql.Clock} AND (lease_until IS NULL OR lease_until < {storage.Sql.Clock})
                ORDER BY next_at LIMIT @most{storage.Sql.ForUpdateSkipLocked})
            UPDATE batches SET lease_owner = @owner, lease_until = {storage.Sql.Clock} + @lease
            WHERE id IN (SELECT id FROM chosen)
            RETURNING {Columns}
            """,
            [("@most", most), ("@owner", owner), ("@lease", Milliseconds(lease)), Clock], Read, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return rows;
    });

    /// <summary>Frees the leases of processes that stopped. Only correct when no other process can use this database.</summary>
    public async Task ReleaseAllAsync(CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync("UPDATE batches SET lease_until = NULL WHERE ended_at IS NULL", [], cancellationToken);
    }

    public Task<bool> RenewAsync(string id, string owner, TimeSpan lease, CancellationToken cancellationToken) => ChangeAsync(
        $"lease_until = {storage.Sql.Clock} + @lease", id, owner, [("@lease", Milliseconds(lease)), Clock], cancellationToken);

    /// <summary>Ends the lease; the batch is due again after <paramref name="pause"/>.</summary>
    public Task<bool> ReleaseAsync(string id, string owner, TimeSpan pause, CancellationToken cancellationToken) => ChangeAsync(
        $"lease_owner = NULL, lease_until = NULL, next_at = {storage.Sql.Clock} + @lease", id, owner,
        [("@lease", Milliseconds(pause)), Clock], cancellationToken);

    /// <summary>Records that its lines were checked and can run.</summary>
    public Task<bool> BeginAsync(string id, string owner, int total, string model, CancellationToken cancellationToken) => ChangeAsync(
        "status = CASE WHEN status = 'validating' THEN 'in_progress' ELSE status END, in_progress_at = @now, total = @total, "
        + "model = @model",
        id, owner, [("@now", time.GetUtcNow()), ("@total", total), ("@model", storage.Sql.Storable(model))], cancellationToken);

    /// <summary>No more lines are started; it will end as <paramref name="ending"/>.</summary>
    public Task<bool> FinalizeAsync(string id, string owner, string ending, CancellationToken cancellationToken) => ChangeAsync(
        "status = 'finalizing', ending = @ending, finalizing_at = @now", id, owner, [("@ending", ending), ("@now", time.GetUtcNow())],
        cancellationToken, " AND status = 'in_progress'");

    /// <summary>Puts lines into the queue of jobs and records how much of the file was read, in one transaction.</summary>
    public Task<bool> FeedAsync(
        string id, string owner, IReadOnlyList<GenerationRecord> lines, int fedLines, long fedOffset,
        CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var updated = await connection.ExecuteAsync(
            "UPDATE batches SET fed_lines = @lines, fed_offset = @offset WHERE id = @id AND lease_owner = @owner "
            + "AND status = 'in_progress'",
            [("@lines", fedLines), ("@offset", fedOffset), ("@id", id), ("@owner", owner)], cancellationToken);
        if (attempt.IsRepeat
            && await IsThereAsync(connection, "SELECT 1 FROM generations WHERE id = @id", lines[0].Id, cancellationToken))
        {
            return true;
        }
        if (updated == 0) return false;
        await generations.AddAsync(connection, lines, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    /// <summary>Requests the end of a batch. Returns its new state, or null when the project has no batch of this id.</summary>
    public async Task<BatchRecord?> CancelAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            await connection.ExecuteAsync(
                """
                UPDATE batches SET status = 'cancelling', ending = 'cancelled', cancelling_at = @now, next_at = 0
                WHERE id = @id AND project_id = @project AND (status = 'validating' OR status = 'in_progress')
                """,
                [("@now", time.GetUtcNow()), ("@id", storage.Sql.Storable(id)), ("@project", projectId)], cancellationToken);
        }
        return await FindAsync(projectId, id, cancellationToken);
    }

    /// <summary>
    /// Cancels a batch that was reported to its client as not created, and frees its Idempotency-Key. False when it does not exist, or has
    /// nothing left to cancel.
    /// </summary>
    public async Task<bool> DisownAsync(string id, CancellationToken cancellationToken) =>
        await storage.ExecuteAsync(
            """
            UPDATE batches SET status = 'cancelling', ending = 'cancelled', cancelling_at = @now, next_at = 0, idempotency_key = NULL
            WHERE id = @id AND (status = 'validating' OR status = 'in_progress')
            """,
            [("@now", time.GetUtcNow()), ("@id", id)], cancellationToken) > 0;

    /// <summary>Whether its end was requested since it was leased.</summary>
    public async Task<bool> IsCancellingAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.TextAsync("SELECT status FROM batches WHERE id = @id", [("@id", id)], cancellationToken)
            is BatchStatus.Cancelling;
    }

    /// <summary>Lines that wait or run.</summary>
    public async Task<int> OpenLinesAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var count = await connection.Int64Async(
            "SELECT COUNT(*) FROM generations WHERE batch_id = @id AND (status = 'queued' OR status = 'in_progress')",
            [("@id", id)], cancellationToken);
        return (int)(count ?? 0);
    }

    /// <summary>
    /// Ends the waiting lines as <paramref name="end"/> states, and asks the running ones to stop. Returns the ids of both.
    /// </summary>
    public Task<(IReadOnlyList<string> Ended, IReadOnlyList<string> Running)> StopLinesAsync(
        string id, GenerationEnd end, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // By id, as all code locks generations, and both kinds in one statement: a line that returns to the queue meanwhile is not missed.
        var lines = await connection.QueryAsync(
            $"""
            SELECT id, status FROM generations WHERE batch_id = @id AND (status = 'queued' OR status = 'in_progress')
            ORDER BY id{storage.Sql.ForUpdate}
            """,
            [("@id", id)], row => (Id: row.Text("id"), Status: row.Text("status")), cancellationToken);
        await connection.ExecuteAsync(
            """
            UPDATE generations SET status = @status, outcome = @outcome, ended_at = @ended, expires_at = @expires, result_status = @result_status,
                result = @result, details = @details
            WHERE batch_id = @id AND status = 'queued'
            """,
            [
                ("@status", end.Status.ToWire()), ("@outcome", end.Outcome.ToWire()), ("@ended", end.EndedAt), ("@expires", end.ExpiresAt),
                ("@result_status", end.ResultStatus), ("@result", end.Result), ("@details", end.Details), ("@id", id),
            ],
            cancellationToken);
        await connection.ExecuteAsync(
            "UPDATE generations SET cancel_requested = 1 WHERE batch_id = @id AND status = 'in_progress'", [("@id", id)],
            cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return (IdsOf(lines.Where(line => line.Status == "queued")), IdsOf(lines.Where(line => line.Status != "queued")));

        static IReadOnlyList<string> IdsOf(IEnumerable<(string Id, string Status)> lines) => [.. lines.Select(line => line.Id)];
    });

    /// <summary>Some lines that have ended, in the order of the file.</summary>
    /// <param name="id">The batch.</param>
    /// <param name="after">Only those after this one.</param>
    /// <param name="most">How many.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public async Task<IReadOnlyList<BatchLineResult>> ResultsAsync(string id, int after, int most, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            """
            SELECT batch_line, id, request_id, context, status, result_status, result, details FROM generations
            WHERE batch_id = @id AND batch_line > @after ORDER BY batch_line LIMIT @most
            """,
            [("@id", id), ("@after", after), ("@most", most)], ReadLine, cancellationToken);
    }

    /// <summary>Ends a batch with its files, the results of its lines and the webhook event, all or nothing. Its lines expire.</summary>
    /// <exception cref="UnknownCommitException">It may have ended, and its files may exist.</exception>
    public Task<bool> EndAsync(BatchRecord batch, string owner, IReadOnlyList<StoredFile> made, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var endedAt = batch.EndedAt!.Value;
        var updated = await connection.ExecuteAsync(
            """
            UPDATE batches SET status = @status, errors = @errors, output_file_id = @output, error_file_id = @error_file, ended_at = @ended,
                done = @done, failures = @failures, usage = @usage, total = @total, lease_owner = NULL, lease_until = NULL
            WHERE id = @id AND lease_owner = @owner AND ended_at IS NULL
            """,
            [
                ("@status", batch.Status), ("@errors", ErrorsOf(batch)), ("@output", batch.OutputFileId),
                ("@error_file", batch.ErrorFileId),
                ("@ended", endedAt), ("@done", batch.Done), ("@failures", batch.Failures), ("@total", batch.Total),
                ("@usage", UsageOf(batch)),
                ("@id", batch.Id), ("@owner", owner),
            ],
            cancellationToken);
        if (updated == 0) return attempt.IsRepeat && await HasEndedAsync(connection, batch, cancellationToken);
        foreach (var file in made) await files.CompleteAsync(connection, file, cancellationToken);
        await FileStore.LetGoAsync(connection, batch.InputFileId, cancellationToken);
        await connection.ExecuteAsync(
            "UPDATE generations SET expires_at = @now WHERE batch_id = @id", [("@now", endedAt), ("@id", batch.Id)], cancellationToken);
        var happened = new WebhookEvent(batch.ProjectId, "batch." + batch.Status, endedAt, BatchWriter.WriteNews(batch));
        var deliveries = await outbox.AddAsync(connection, transaction, happened, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        if (deliveries > 0) outbox.Announce();
        return true;
    }, time);

    /// <summary>Whether it has ended with these very files.</summary>
    private static async Task<bool> HasEndedAsync(DbConnection connection, BatchRecord batch, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            """
            SELECT 1 FROM batches WHERE id = @id AND ended_at = @ended
                AND COALESCE(output_file_id, '') = @output AND COALESCE(error_file_id, '') = @error_file
            """,
            [
                ("@id", batch.Id), ("@ended", batch.EndedAt!.Value), ("@output", batch.OutputFileId ?? ""),
                ("@error_file", batch.ErrorFileId ?? ""),
            ],
            cancellationToken) is not null;

    /// <summary>Deletes batches that ended before <paramref name="before"/>.</summary>
    public async Task ForgetAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync("DELETE FROM batches WHERE ended_at < @before", [("@before", before)], cancellationToken);
    }

    /// <summary>The time that leases are measured by where the database has no clock of its own.</summary>
    private (string Name, SqlValue Value) Clock => ("@clock", _clock.UtcNow);

    private static long Milliseconds(TimeSpan time) => (long)time.TotalMilliseconds;

    private async Task<BatchRecord?> FindAsync(string column, string projectId, string value, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var found = await connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM batches WHERE {column} = @value AND project_id = @project",
            [("@value", storage.Sql.Storable(value)), ("@project", projectId)], Read, cancellationToken);
        return found is null ? null : await CountedAsync(connection, found, cancellationToken);
    }

    // Counted from the lines themselves, so that the counts of a running batch are never stale, and no code has to maintain them.
    private static async Task<BatchRecord> CountedAsync(DbConnection connection, BatchRecord batch, CancellationToken cancellationToken)
    {
        if (batch.IsFinal || batch.FedLines == 0) return batch;
        var (done, ended) = await connection.FirstOrDefaultAsync(
            """
            SELECT CAST(COALESCE(SUM(CASE WHEN result_status < 400 THEN 1 ELSE 0 END), 0) AS BIGINT) AS done, CAST(COUNT(*) AS BIGINT) AS ended
            FROM generations WHERE batch_id = @id AND ended_at IS NOT NULL
            """,
            [("@id", batch.Id)], row => (row.Int32("done"), row.Int32("ended")), cancellationToken);
        return batch with { Done = done, Failures = ended - done };
    }

    private async Task<bool> ChangeAsync(
        string change, string id, string owner, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken,
        string condition = "")
    {
        return await storage.ExecuteAsync(
            $"UPDATE batches SET {change} WHERE id = @id AND lease_owner = @owner AND ended_at IS NULL{condition}",
            [("@id", id), ("@owner", owner), .. values], cancellationToken) > 0;
    }

    private static byte[]? MetadataOf(BatchRecord batch) => batch.Metadata is { } metadata
        ? JsonSerializer.SerializeToUtf8Bytes(metadata, BatchJsonContext.Default.IReadOnlyDictionaryStringString)
        : null;

    private static byte[]? ErrorsOf(BatchRecord batch) => batch.Errors.Count > 0
        ? JsonSerializer.SerializeToUtf8Bytes(batch.Errors, BatchJsonContext.Default.IReadOnlyListBatchError)
        : null;

    private static byte[]? UsageOf(BatchRecord batch) => batch.Usage is { } usage
        ? JsonSerializer.SerializeToUtf8Bytes(usage, BatchJsonContext.Default.BatchUsage)
        : null;

    private static BatchRecord Read(SqlRow row) => new()
    {
        Id = row.Text("id"),
        OrganizationId = row.Text("organization_id"),
        ProjectId = row.Text("project_id"),
        KeyId = row.Text("key_id"),
        Endpoint = row.Text("endpoint"),
        InputFileId = row.Text("input_file_id"),
        Status = row.Text("status"),
        Ending = row.TextOrNull("ending"),
        Model = row.TextOrNull("model"),
        Errors = row.BytesOrNull("errors") is { } errors
            ? JsonSerializer.Deserialize(errors, BatchJsonContext.Default.IReadOnlyListBatchError) ?? []
            : [],
        OutputFileId = row.TextOrNull("output_file_id"),
        ErrorFileId = row.TextOrNull("error_file_id"),
        CreatedAt = row.Time("created_at"),
        ExpiresAt = row.Time("expires_at"),
        InProgressAt = row.TimeOrNull("in_progress_at"),
        FinalizingAt = row.TimeOrNull("finalizing_at"),
        CancellingAt = row.TimeOrNull("cancelling_at"),
        EndedAt = row.TimeOrNull("ended_at"),
        Total = row.Int32("total"),
        Done = row.Int32("done"),
        Failures = row.Int32("failures"),
        Usage = row.BytesOrNull("usage") is { } usage ? JsonSerializer.Deserialize(usage, BatchJsonContext.Default.BatchUsage) : null,
        Metadata = row.BytesOrNull("metadata") is { } metadata
            ? JsonSerializer.Deserialize(metadata, BatchJsonContext.Default.IReadOnlyDictionaryStringString)
            : null,
        OutputTtl = row.Int64OrNull("output_ttl") is { } ttl ? TimeSpan.FromSeconds(ttl) : null,
        FedLines = row.Int32("fed_lines"),
        FedOffset = row.Int64("fed_offset"),
        IdempotencyKey = row.TextOrNull("idempotency_key"),
        Fingerprint = row.Bytes("fingerprint"),
    };

    private static BatchLineResult ReadLine(SqlRow row)
    {
        var context = JsonSerializer.Deserialize(row.Bytes("context"), GenerationJsonContext.Default.RequestContext);
        return new BatchLineResult(
            row.Int32("batch_line"), row.Text("id"), row.Text("request_id"), context?.CustomId ?? "",
            GenerationStatusNames.Parse(row.Text("status")),
            row.Int32("result_status"), row.BytesOrNull("result") ?? [], row.BytesOrNull("details"));
    }
}

/// <summary>The result of one line.</summary>
/// <param name="Line">Its number among the lines that are not empty, from 1.</param>
/// <param name="GenerationId">The generation that ran it.</param>
/// <param name="RequestId">Its request.</param>
/// <param name="CustomId">As in the line.</param>
/// <param name="Status">How the generation ended.</param>
/// <param name="ResultStatus">The HTTP status that the call would have had.</param>
/// <param name="Result">Its body.</param>
/// <param name="Details">Among others its usage; JSON, or null.</param>
internal sealed record BatchLineResult(
    int Line, string GenerationId, string RequestId, string CustomId, GenerationStatus Status, int ResultStatus, byte[] Result,
    byte[]? Details);

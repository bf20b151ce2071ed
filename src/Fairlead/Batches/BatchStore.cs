using System.Data;
using System.Data.Common;
using System.Globalization;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Providers;
using Fairlead.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Batches;

/// <summary>
/// Batches in the database. What a member returned from is committed. Members that take an owner do nothing, and say so, once another one has its lease.
/// Thread-safe.
/// </summary>
internal sealed class BatchStore(IStorage storage, IGenerationStore generations, FileStore files, IWebhookOutbox outbox, TimeProvider time)
{
    private const string Columns = """
        id, organization_id, project_id, key_id, endpoint, input_file_id, status, ending, model, errors, output_file_id, error_file_id,
        created_at, expires_at, in_progress_at, finalizing_at, cancelling_at, ended_at, total, done, failures, usage, metadata, output_ttl,
        fed_lines, fed_offset, idempotency_key, fingerprint
        """;

    private readonly SteadyClock _clock = new(time);

    /// <summary>Adds a batch and holds its input file. False when that file is gone.</summary>
    /// <exception cref="DbException">Among others, the Idempotency-Key is taken (<see cref="StorageFaults.IsUniqueViolation"/>).</exception>
    /// <exception cref="UnknownCommitException">It may be there.</exception>
    public Task<bool> AddAsync(BatchRecord batch, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var isHeld = await files.HoldAsync(connection, transaction, batch.ProjectId, batch.InputFileId, cancellationToken);
        if (attempt.IsRepeat && await IsThereAsync(connection, transaction, "SELECT 1 FROM batches WHERE id = @id", batch.Id, cancellationToken)) return true;
        if (!isHeld) return false;
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = """
            INSERT INTO batches (id, organization_id, project_id, key_id, endpoint, input_file_id, status, created_at, expires_at, metadata, output_ttl, idempotency_key, fingerprint, next_at)
            VALUES (@id, @organization, @project, @key, @endpoint, @file, @status, @created, @expires, @metadata, @ttl, @idempotency, @fingerprint, 0)
            """;
        command.AddParameter("@id", batch.Id);
        command.AddParameter("@organization", batch.OrganizationId);
        command.AddParameter("@project", batch.ProjectId);
        command.AddParameter("@key", batch.KeyId);
        command.AddParameter("@endpoint", batch.Endpoint);
        command.AddParameter("@file", batch.InputFileId);
        command.AddParameter("@status", batch.Status);
        command.AddParameter("@created", Ms(batch.CreatedAt));
        command.AddParameter("@expires", Ms(batch.ExpiresAt));
        command.AddParameter("@metadata", DbType.Binary, batch.Metadata is { } metadata ? JsonSerializer.SerializeToUtf8Bytes(metadata, BatchJsonContext.Default.IReadOnlyDictionaryStringString) : null);
        command.AddParameter("@ttl", DbType.Int64, batch.OutputTtl is { } ttl ? (long)ttl.TotalSeconds : null);
        command.AddParameter("@idempotency", DbType.String, batch.IdempotencyKey);
        command.AddParameter("@fingerprint", batch.Fingerprint);
        await command.ExecuteNonQueryAsync(cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    private static async Task<bool> IsThereAsync(DbConnection connection, DbTransaction transaction, string select, string id, CancellationToken cancellationToken)
    {
        await using var find = connection.CreateCommand();
        find.Transaction = transaction;
#pragma warning disable CA2100 // Constants of this program.
        find.CommandText = select;
#pragma warning restore CA2100
        find.AddParameter("@id", id);
        return await find.ExecuteScalarAsync(cancellationToken) is not null;
    }

    /// <summary>Null when there is none of this id in the project.</summary>
    public Task<BatchRecord?> FindAsync(string projectId, string id, CancellationToken cancellationToken) => FindAsync("id", projectId, id, cancellationToken);

    /// <summary>The batch that a project made under an Idempotency-Key, or null.</summary>
    public Task<BatchRecord?> FindByKeyAsync(string projectId, string key, CancellationToken cancellationToken) => FindAsync("idempotency_key", projectId, key, cancellationToken);

    /// <summary>Newest first.</summary>
    public async Task<IReadOnlyList<BatchRecord>> ListAsync(string projectId, string? after, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        var where = after is null ? "" : " AND id < @after";
        if (after is not null) command.AddParameter("@after", storage.Sql.Storable(after));
#pragma warning disable CA2100 // Values are parameters; the conditions are constants of this program.
        command.CommandText = string.Create(CultureInfo.InvariantCulture, $"SELECT {Columns} FROM batches WHERE project_id = @project{where} ORDER BY id DESC LIMIT {limit}");
#pragma warning restore CA2100
        command.AddParameter("@project", projectId);
        var rows = await ReadAllAsync(command, cancellationToken);
        for (var i = 0; i < rows.Count; i++) rows[i] = await CountedAsync(connection, rows[i], cancellationToken);
        return rows;
    }

    /// <summary>Takes up to <paramref name="most"/> that wait for somebody to go on with them. No two callers get the same one.</summary>
    public Task<IReadOnlyList<BatchRecord>> LeaseAsync(string owner, TimeSpan lease, int most, CancellationToken cancellationToken) => StorageRetry.RunAsync<IReadOnlyList<BatchRecord>>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // Conditions are constants of this program.
        command.CommandText = string.Create(CultureInfo.InvariantCulture, $"""
            WITH chosen AS MATERIALIZED (SELECT id FROM batches WHERE ended_at IS NULL AND next_at <= {storage.Sql.Clock} AND (lease_until IS NULL OR lease_until < {storage.Sql.Clock}) ORDER BY next_at LIMIT {most}{storage.Sql.ForUpdateSkipLocked})
            UPDATE batches SET lease_owner = @owner, lease_until = {storage.Sql.Clock} + @lease
            WHERE id IN (SELECT id FROM chosen)
            RETURNING {Columns}
            """);
#pragma warning restore CA2100
        command.AddParameter("@owner", owner);
        command.AddParameter("@lease", (long)lease.TotalMilliseconds);
        AddClock(command);
        var rows = await ReadAllAsync(command, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return rows;
    });

    /// <summary>Lets the batches of processes that are gone be gone on with at once. Only right when no other process can be at work on this database.</summary>
    public async Task ReleaseAllAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "UPDATE batches SET lease_until = NULL WHERE ended_at IS NULL";
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public Task<bool> RenewAsync(string id, string owner, TimeSpan lease, CancellationToken cancellationToken) =>
        ChangeAsync($"lease_until = {storage.Sql.Clock} + @lease", id, owner, command => AddTime(command, lease), cancellationToken);

    /// <summary>Lets it be for <paramref name="pause"/>.</summary>
    public Task<bool> ReleaseAsync(string id, string owner, TimeSpan pause, CancellationToken cancellationToken) =>
        ChangeAsync($"lease_owner = NULL, lease_until = NULL, next_at = {storage.Sql.Clock} + @lease", id, owner, command => AddTime(command, pause), cancellationToken);

    private void AddTime(DbCommand command, TimeSpan time)
    {
        command.AddParameter("@lease", (long)time.TotalMilliseconds);
        AddClock(command);
    }

    private void AddClock(DbCommand command)
    {
        if (storage.Provider == StorageProvider.Sqlite) command.AddParameter("@clock", Ms(_clock.UtcNow));
    }

    /// <summary>Its lines were looked at and can be run.</summary>
    public Task<bool> BeginAsync(string id, string owner, int total, string model, CancellationToken cancellationToken) => ChangeAsync(
        "status = CASE WHEN status = 'validating' THEN 'in_progress' ELSE status END, in_progress_at = @now, total = @total, model = @model", id, owner, command =>
        {
            command.AddParameter("@now", Now);
            command.AddParameter("@total", (long)total);
            command.AddParameter("@model", storage.Sql.Storable(model));
        }, cancellationToken);

    /// <summary>No more lines are begun; it will end as <paramref name="ending"/>.</summary>
    public Task<bool> FinalizeAsync(string id, string owner, string ending, CancellationToken cancellationToken) => ChangeAsync(
        "status = 'finalizing', ending = @ending, finalizing_at = @now", id, owner, command =>
        {
            command.AddParameter("@ending", ending);
            command.AddParameter("@now", Now);
        }, cancellationToken, " AND status = 'in_progress'");

    /// <summary>Puts lines into the queue of jobs, and notes how far the file is read, in one.</summary>
    public Task<bool> FeedAsync(string id, string owner, IReadOnlyList<GenerationRecord> lines, int fedLines, long fedOffset, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "UPDATE batches SET fed_lines = @lines, fed_offset = @offset WHERE id = @id AND lease_owner = @owner AND status = 'in_progress'";
        command.AddParameter("@lines", (long)fedLines);
        command.AddParameter("@offset", fedOffset);
        command.AddParameter("@id", id);
        command.AddParameter("@owner", owner);
        var isHeld = await command.ExecuteNonQueryAsync(cancellationToken) > 0;
        if (attempt.IsRepeat && await IsThereAsync(connection, transaction, "SELECT 1 FROM generations WHERE id = @id", lines[0].Id, cancellationToken)) return true;
        if (!isHeld) return false;
        await generations.AddAsync(connection, transaction, lines, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    /// <summary>Asks for the end of a batch. Returns it as it then is, or null when there is none of this id in the project.</summary>
    public async Task<BatchRecord?> CancelAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            await using var command = connection.CreateCommand();
            command.CommandText = """
                UPDATE batches SET status = 'cancelling', ending = 'cancelled', cancelling_at = @now, next_at = 0
                WHERE id = @id AND project_id = @project AND (status = 'validating' OR status = 'in_progress')
                """;
            command.AddParameter("@now", Now);
            command.AddParameter("@id", storage.Sql.Storable(id));
            command.AddParameter("@project", projectId);
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
        return await FindAsync(projectId, id, cancellationToken);
    }

    /// <summary>Cancels a batch whose client was told that there is none, and frees its Idempotency-Key. False when it is not there, or has nothing left to cancel.</summary>
    public async Task<bool> DisownAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = """
            UPDATE batches SET status = 'cancelling', ending = 'cancelled', cancelling_at = @now, next_at = 0, idempotency_key = NULL
            WHERE id = @id AND (status = 'validating' OR status = 'in_progress')
            """;
        command.AddParameter("@now", Now);
        command.AddParameter("@id", id);
        return await command.ExecuteNonQueryAsync(cancellationToken) > 0;
    }

    /// <summary>Whether somebody asked for its end since it was leased.</summary>
    public async Task<bool> IsCancellingAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT status FROM batches WHERE id = @id";
        command.AddParameter("@id", id);
        return await command.ExecuteScalarAsync(cancellationToken) is BatchStatus.Cancelling;
    }

    /// <summary>Lines that wait or run.</summary>
    public async Task<int> OpenLinesAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT COUNT(*) FROM generations WHERE batch_id = @id AND (status = 'queued' OR status = 'in_progress')";
        command.AddParameter("@id", id);
        return Convert.ToInt32(await command.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture);
    }

    /// <summary>Ends the lines that wait as <paramref name="end"/> says, and asks those that run to stop. Returns the ids of both.</summary>
    public Task<(IReadOnlyList<string> Ended, IReadOnlyList<string> Running)> StopLinesAsync(string id, GenerationEnd end, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // By id, as everybody locks generations, and both kinds in one look: a line that returns to the queue meanwhile is not missed.
        var lines = new List<(string Id, string Status)>();
        await using (var find = connection.CreateCommand())
        {
            find.Transaction = transaction;
            find.CommandText = $"SELECT id, status FROM generations WHERE batch_id = @id AND (status = 'queued' OR status = 'in_progress') ORDER BY id{storage.Sql.ForUpdate}";
            find.AddParameter("@id", id);
            await using var reader = await find.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken)) lines.Add((reader.GetString(0), reader.GetString(1)));
        }
        await using var stop = connection.CreateCommand();
        stop.Transaction = transaction;
        stop.CommandText = """
            UPDATE generations SET status = @status, outcome = @outcome, ended_at = @ended, expires_at = @expires, result_status = @result_status, result = @result, details = @details
            WHERE batch_id = @id AND status = 'queued'
            """;
        stop.AddParameter("@status", end.Status.ToWire());
        stop.AddParameter("@outcome", end.Outcome.ToWire());
        stop.AddParameter("@ended", Ms(end.EndedAt));
        stop.AddParameter("@expires", Ms(end.ExpiresAt));
        stop.AddParameter("@result_status", (long)end.ResultStatus);
        stop.AddParameter("@result", end.Result);
        stop.AddParameter("@details", end.Details);
        stop.AddParameter("@id", id);
        await stop.ExecuteNonQueryAsync(cancellationToken);
        stop.CommandText = "UPDATE generations SET cancel_requested = 1 WHERE batch_id = @id AND status = 'in_progress'";
        await stop.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return ((IReadOnlyList<string>)lines.FindAll(line => line.Status == "queued").ConvertAll(line => line.Id), (IReadOnlyList<string>)lines.FindAll(line => line.Status != "queued").ConvertAll(line => line.Id));
    });

    /// <summary>Some lines that have ended, in the order of the file.</summary>
    /// <param name="id">The batch.</param>
    /// <param name="after">Only those behind this one.</param>
    /// <param name="most">At most so many.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task<IReadOnlyList<BatchLineResult>> ResultsAsync(string id, int after, int most, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // A number of this program.
        command.CommandText = string.Create(CultureInfo.InvariantCulture, $"SELECT batch_line, id, request_id, context, status, result_status, result, details FROM generations WHERE batch_id = @id AND batch_line > @after ORDER BY batch_line LIMIT {most}");
#pragma warning restore CA2100
        command.AddParameter("@id", id);
        command.AddParameter("@after", (long)after);
        var lines = new List<BatchLineResult>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var context = JsonSerializer.Deserialize(reader.GetFieldValue<byte[]>(3), GenerationJsonContext.Default.RequestContext);
            lines.Add(new BatchLineResult(
                (int)reader.GetInt64(0), reader.GetString(1), reader.GetString(2), context?.CustomId ?? "", GenerationStatusNames.Parse(reader.GetString(4)), (int)reader.GetInt64(5),
                reader.IsDBNull(6) ? [] : reader.GetFieldValue<byte[]>(6), reader.IsDBNull(7) ? null : reader.GetFieldValue<byte[]>(7)));
        }
        return lines;
    }

    /// <summary>Ends a batch: with its files, what became of its lines, and the news of it, all or nothing. What was kept of its lines goes.</summary>
    /// <exception cref="UnknownCommitException">It may have ended, and its files may be found.</exception>
    public Task<bool> EndAsync(BatchRecord batch, string owner, IReadOnlyList<StoredFile> made, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = """
            UPDATE batches SET status = @status, errors = @errors, output_file_id = @output, error_file_id = @error_file, ended_at = @ended,
                done = @done, failures = @failures, usage = @usage, total = @total, lease_owner = NULL, lease_until = NULL
            WHERE id = @id AND lease_owner = @owner AND ended_at IS NULL
            """;
        command.AddParameter("@status", batch.Status);
        command.AddParameter("@errors", DbType.Binary, batch.Errors.Count > 0 ? JsonSerializer.SerializeToUtf8Bytes(batch.Errors, BatchJsonContext.Default.IReadOnlyListBatchFault) : null);
        command.AddParameter("@output", DbType.String, batch.OutputFileId);
        command.AddParameter("@error_file", DbType.String, batch.ErrorFileId);
        command.AddParameter("@ended", Ms(batch.EndedAt!.Value));
        command.AddParameter("@done", (long)batch.Done);
        command.AddParameter("@failures", (long)batch.Failures);
        command.AddParameter("@total", (long)batch.Total);
        command.AddParameter("@usage", DbType.Binary, batch.Usage is { } usage ? JsonSerializer.SerializeToUtf8Bytes(usage, BatchJsonContext.Default.BatchUsage) : null);
        command.AddParameter("@id", batch.Id);
        command.AddParameter("@owner", owner);
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0) return attempt.IsRepeat && await HasEndedAsync(connection, transaction, batch, cancellationToken);
        foreach (var file in made) await files.CompleteAsync(connection, transaction, file, cancellationToken);
        await FileStore.LetGoAsync(connection, transaction, batch.InputFileId, cancellationToken);
        await using var lines = connection.CreateCommand();
        lines.Transaction = transaction;
        lines.CommandText = "UPDATE generations SET expires_at = @now WHERE batch_id = @id";
        lines.AddParameter("@now", Ms(batch.EndedAt.Value));
        lines.AddParameter("@id", batch.Id);
        await lines.ExecuteNonQueryAsync(cancellationToken);
        var told = await outbox.AddAsync(connection, transaction, new WebhookEvent(batch.ProjectId, "batch." + batch.Status, batch.EndedAt.Value, BatchWriter.WriteNews(batch)), cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        if (told > 0) outbox.Announce();
        return true;
    }, time);

    /// <summary>Whether it has ended with these very files.</summary>
    private static async Task<bool> HasEndedAsync(DbConnection connection, DbTransaction transaction, BatchRecord batch, CancellationToken cancellationToken)
    {
        await using var find = connection.CreateCommand();
        find.Transaction = transaction;
        find.CommandText = "SELECT 1 FROM batches WHERE id = @id AND ended_at = @ended AND COALESCE(output_file_id, '') = @output AND COALESCE(error_file_id, '') = @error_file";
        find.AddParameter("@id", batch.Id);
        find.AddParameter("@ended", Ms(batch.EndedAt!.Value));
        find.AddParameter("@output", batch.OutputFileId ?? "");
        find.AddParameter("@error_file", batch.ErrorFileId ?? "");
        return await find.ExecuteScalarAsync(cancellationToken) is not null;
    }

    /// <summary>Forgets batches that ended before <paramref name="before"/>.</summary>
    public async Task ForgetAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "DELETE FROM batches WHERE ended_at < @before";
        command.AddParameter("@before", Ms(before));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private long Now => Ms(time.GetUtcNow());

    private async Task<BatchRecord?> FindAsync(string column, string projectId, string value, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        BatchRecord? found;
        await using (var command = connection.CreateCommand())
        {
#pragma warning disable CA2100 // The column is a constant of this program.
            command.CommandText = $"SELECT {Columns} FROM batches WHERE {column} = @value AND project_id = @project";
#pragma warning restore CA2100
            command.AddParameter("@value", storage.Sql.Storable(value));
            command.AddParameter("@project", projectId);
            found = (await ReadAllAsync(command, cancellationToken)).FirstOrDefault();
        }
        return found is null ? null : await CountedAsync(connection, found, cancellationToken);
    }

    // Counted where the lines are, so that the counts of a batch under way are never behind, and nothing needs to keep them.
    private static async Task<BatchRecord> CountedAsync(DbConnection connection, BatchRecord batch, CancellationToken cancellationToken)
    {
        if (batch.IsFinal || batch.FedLines == 0) return batch;
        await using var command = connection.CreateCommand();
        command.CommandText = """
            SELECT CAST(COALESCE(SUM(CASE WHEN result_status < 400 THEN 1 ELSE 0 END), 0) AS BIGINT), CAST(COUNT(*) AS BIGINT) FROM generations
            WHERE batch_id = @id AND ended_at IS NOT NULL
            """;
        command.AddParameter("@id", batch.Id);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var done = (int)reader.GetInt64(0);
        return batch with { Done = done, Failures = (int)reader.GetInt64(1) - done };
    }

    private async Task<bool> ChangeAsync(string change, string id, string owner, Action<DbCommand> fill, CancellationToken cancellationToken, string condition = "")
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // The change is a constant of this program.
        command.CommandText = $"UPDATE batches SET {change} WHERE id = @id AND lease_owner = @owner AND ended_at IS NULL{condition}";
#pragma warning restore CA2100
        command.AddParameter("@id", id);
        command.AddParameter("@owner", owner);
        fill(command);
        return await command.ExecuteNonQueryAsync(cancellationToken) > 0;
    }

    private static async Task<List<BatchRecord>> ReadAllAsync(DbCommand command, CancellationToken cancellationToken)
    {
        var rows = new List<BatchRecord>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) rows.Add(Read(reader));
        return rows;
    }

    private static BatchRecord Read(DbDataReader row) => new()
    {
        Id = row.GetString(0),
        OrganizationId = row.GetString(1),
        ProjectId = row.GetString(2),
        KeyId = row.GetString(3),
        Endpoint = row.GetString(4),
        InputFileId = row.GetString(5),
        Status = row.GetString(6),
        Ending = row.IsDBNull(7) ? null : row.GetString(7),
        Model = row.IsDBNull(8) ? null : row.GetString(8),
        Errors = row.IsDBNull(9) ? [] : JsonSerializer.Deserialize(row.GetFieldValue<byte[]>(9), BatchJsonContext.Default.IReadOnlyListBatchFault) ?? [],
        OutputFileId = row.IsDBNull(10) ? null : row.GetString(10),
        ErrorFileId = row.IsDBNull(11) ? null : row.GetString(11),
        CreatedAt = Time(row, 12)!.Value,
        ExpiresAt = Time(row, 13)!.Value,
        InProgressAt = Time(row, 14),
        FinalizingAt = Time(row, 15),
        CancellingAt = Time(row, 16),
        EndedAt = Time(row, 17),
        Total = (int)row.GetInt64(18),
        Done = (int)row.GetInt64(19),
        Failures = (int)row.GetInt64(20),
        Usage = row.IsDBNull(21) ? null : JsonSerializer.Deserialize(row.GetFieldValue<byte[]>(21), BatchJsonContext.Default.BatchUsage),
        Metadata = row.IsDBNull(22) ? null : JsonSerializer.Deserialize(row.GetFieldValue<byte[]>(22), BatchJsonContext.Default.IReadOnlyDictionaryStringString),
        OutputTtl = row.IsDBNull(23) ? null : TimeSpan.FromSeconds(row.GetInt64(23)),
        FedLines = (int)row.GetInt64(24),
        FedOffset = row.GetInt64(25),
        IdempotencyKey = row.IsDBNull(26) ? null : row.GetString(26),
        Fingerprint = row.GetFieldValue<byte[]>(27),
    };

    private static DateTimeOffset? Time(DbDataReader row, int column) => row.IsDBNull(column) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));

    private static long Ms(DateTimeOffset at) => at.ToUnixTimeMilliseconds();
}

/// <summary>What became of one line.</summary>
/// <param name="Line">Its number among the lines that are not empty, from 1.</param>
/// <param name="GenerationId">The generation that it was.</param>
/// <param name="RequestId">Its request.</param>
/// <param name="CustomId">As the line said.</param>
/// <param name="Status">How the generation ended.</param>
/// <param name="ResultStatus">The HTTP status that the call would have had.</param>
/// <param name="Result">Its body.</param>
/// <param name="Details">Among others its usage; JSON, or null.</param>
internal sealed record BatchLineResult(int Line, string GenerationId, string RequestId, string CustomId, GenerationStatus Status, int ResultStatus, byte[] Result, byte[]? Details);

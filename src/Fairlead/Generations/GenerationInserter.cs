using System.Data.Common;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Limits.Budgets;
using Fairlead.Providers;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <inheritdoc cref="IGenerationInserter"/>
internal sealed class GenerationInserter(IStorage storage, GenerationSql sql, TimeProvider time, BudgetHolder? holder = null)
    : IGenerationInserter
{
    public Task<bool> TryQueueAsync(GenerationRecord record, QueueLimits limits, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // One request of a project at a time, so that two do not take the last place.
        if (storage.Provider == StorageProvider.Postgres)
        {
            await connection.ExecuteAsync(
                "SELECT pg_advisory_xact_lock(hashtextextended(@project, 1718774117))", [("@project", record.ProjectId)],
                cancellationToken);
        }
        // An earlier attempt was committed. The generation may have left the queue since.
        if (attempt.IsRepeat && await ExistsAsync(connection, record.Id, cancellationToken)) return true;
        var (jobs, bytes) = await connection.FirstOrDefaultAsync(
            """
            SELECT COUNT(*) AS queued_jobs, CAST(COALESCE(SUM(request_bytes), 0) AS BIGINT) AS queued_bytes
            FROM generations WHERE project_id = @project AND status = 'queued' AND batch_id IS NULL
            """,
            [("@project", record.ProjectId)], row => (row.Int64("queued_jobs"), row.Int64("queued_bytes")), cancellationToken);
        if (jobs >= limits.Jobs || bytes + record.Request.Length > limits.Bytes) return false;
        await connection.ExecuteAsync(Insert(isRunning: false), ValuesOf(record, null, TimeSpan.Zero), cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    private static async Task<bool> ExistsAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        await connection.Int64Async("SELECT 1 FROM generations WHERE id = @id", [("@id", id)], cancellationToken) is not null;

    public Task AddAsync(GenerationRecord record, string? leaseOwner, TimeSpan lease, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        attempt.Sending();
        var insert = Insert(isRunning: leaseOwner is not null) + (attempt.IsRepeat ? " ON CONFLICT (id) DO NOTHING" : "");
        await storage.WriteAsync(connection, insert, ValuesOf(record, leaseOwner, lease), cancellationToken);
        return true;
    }, time);

    public async Task AddAsync(DbConnection connection, IReadOnlyList<GenerationRecord> records, CancellationToken cancellationToken)
    {
        foreach (var record in records)
        {
            await connection.ExecuteAsync(Insert(isRunning: false), ValuesOf(record, null, TimeSpan.Zero), cancellationToken);
        }
    }

    private string Insert(bool isRunning) => $"""
        INSERT INTO generations (id, organization_id, project_id, key_id, request_id, dialect, endpoint, model, class_rank, status,
            created_at, available_at, started_at, deadline_at, runs, returns, cancel_requested, lease_owner, lease_until, result_status,
            request, request_bytes, context, webhook_url, batch_id, batch_line,
            hold_state, hold_model, hold_tokens, hold_pico, hold_cap, hold_node, hold_process)
        VALUES (@id, @organization, @project, @key, @request_id, @dialect, @endpoint, @model, @class, @status, @created,
            @available, @started, @deadline, @runs, @returns, 0, @owner, {(isRunning ? sql.LeaseEnd : "NULL")}, 0, @request,
            @request_bytes, @context, @webhook, @batch, @line,
            @hold_state, @hold_model, @hold_tokens, @hold_pico, @hold_cap, @hold_node, @hold_process)
        """;

    private (string Name, SqlValue Value)[] ValuesOf(GenerationRecord record, string? leaseOwner, TimeSpan lease) =>
    [
        .. ValuesOf(holder is null ? null : record.Hold),
        ("@id", record.Id), ("@organization", record.OrganizationId), ("@project", record.ProjectId), ("@key", record.KeyId),
        ("@request_id", record.RequestId), ("@dialect", record.Dialect), ("@endpoint", record.Endpoint),
        ("@model", storage.Sql.Storable(record.Model)), ("@class", GenerationSql.RankOf(record.Class)), ("@status", record.Status.ToWire()),
        ("@created", record.CreatedAt), ("@available", record.AvailableAt), ("@started", record.StartedAt), ("@deadline", record.Deadline),
        ("@runs", record.Runs), ("@returns", record.Returns), ("@owner", leaseOwner), GenerationSql.Lease(lease), sql.Clock,
        ("@request", record.Request), ("@request_bytes", record.Request.Length),
        ("@context", JsonSerializer.SerializeToUtf8Bytes(record.Context, GenerationJsonContext.Default.RequestContext)),
        ("@webhook", record.WebhookUrl), ("@batch", record.Batch?.BatchId), ("@line", record.Batch?.Line),
    ];

    private (string Name, SqlValue Value)[] ValuesOf(JobHold? hold) =>
    [
        ("@hold_state", hold is null ? 0 : 1), ("@hold_model", hold is null ? null : storage.Sql.Storable(hold.Model)),
        ("@hold_tokens", hold?.Tokens ?? 0), ("@hold_pico", hold?.Pico ?? 0), ("@hold_cap", (long?)hold?.OutputCap),
        ("@hold_node", hold is null ? null : holder!.Node), ("@hold_process", hold is null ? null : (long?)holder!.Process),
    ];
}

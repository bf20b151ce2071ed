using System.Data;
using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Idempotency;

/// <summary>A key in the database.</summary>
/// <param name="RequestHash">Hash of the first request.</param>
/// <param name="GenerationId">The generation of the first request.</param>
/// <param name="Owner">The process that runs it.</param>
/// <param name="LeaseUntil">Until when that process counts as alive.</param>
/// <param name="ExpiresAt">When the key is free again.</param>
/// <param name="Status">HTTP status of the stored outcome; 0 while the generation runs.</param>
/// <param name="ContentType">Of the stored outcome; null while the generation runs.</param>
/// <param name="Broken">Whether the response was a stream that ended with an aborted connection.</param>
/// <param name="Body">Of the stored outcome; null while the generation runs.</param>
internal sealed record BoundKey(
    byte[] RequestHash,
    string GenerationId,
    string Owner,
    DateTimeOffset LeaseUntil,
    DateTimeOffset ExpiresAt,
    int Status,
    string? ContentType,
    bool Broken,
    byte[]? Body);

/// <summary>Bound keys in the database. A change is committed when its method returns. Thread-safe.</summary>
/// <remarks>If the database is unavailable, all members throw an exception that <see cref="StorageErrors"/> classifies.</remarks>
internal sealed class IdempotencyStore(IStorage storage, TimeProvider time)
{
    /// <summary>Maximum of rows that one statement deletes, so that other writers do not wait long for the write lock.</summary>
    private const int ExpireRows = 200;

    /// <summary>Binds the key if it is free or has expired. Of concurrent calls for one key, exactly one returns true.</summary>
    /// <exception cref="UnknownCommitException">It may be bound.</exception>
    public Task<bool> TryBindAsync(string projectId, string key, BoundKey bound, DateTimeOffset now, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // The first try may have bound the key to the same generation, which has not started yet.
        var isOwn = attempt.IsRepeat ? "OR (idempotency_keys.generation_id = excluded.generation_id AND idempotency_keys.status = 0)" : "";
        attempt.Sending();
        return await storage.WriteAsync(
            connection,
            $"""
            INSERT INTO idempotency_keys
                (project_id, idempotency_key, request_hash, generation_id, owner, lease_until, expires_at, status, broken)
            VALUES (@project, @key, @hash, @generation, @owner, @lease, @expires, 0, 0)
            ON CONFLICT (project_id, idempotency_key) DO UPDATE SET request_hash = excluded.request_hash,
                generation_id = excluded.generation_id, owner = excluded.owner, lease_until = excluded.lease_until,
                expires_at = excluded.expires_at, status = 0, content_type = NULL, broken = 0, body = NULL
            WHERE idempotency_keys.expires_at <= @now {isOwn}
            """,
            [
                ("@project", projectId), ("@key", key), ("@hash", bound.RequestHash), ("@generation", bound.GenerationId),
                ("@owner", bound.Owner), ("@lease", bound.LeaseUntil), ("@expires", bound.ExpiresAt), ("@now", now),
            ],
            cancellationToken) == 1;
    }, time);

    /// <summary>The key; null if nothing is bound to it.</summary>
    /// <param name="projectId">The project.</param>
    /// <param name="key">The key.</param>
    /// <param name="count">
    /// Called with the length of the body before it is read; throws if the process has no memory for it. Null to count nothing.
    /// </param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task<BoundKey?> FindAsync(string projectId, string key, Action<long>? count, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // In the order of the columns: the length comes first, so that the body is counted before it is in memory.
        return await connection.FirstInOrderAsync(
            """
            SELECT request_hash, generation_id, owner, lease_until, expires_at, status, content_type, broken,
                COALESCE(LENGTH(body), 0) AS length, body
            FROM idempotency_keys WHERE project_id = @project AND idempotency_key = @key
            """,
            [("@project", projectId), ("@key", key)],
            async row =>
            {
                var bound = new BoundKey(
                    row.Bytes("request_hash"), row.Text("generation_id"), row.Text("owner"), row.Time("lease_until"),
                    row.Time("expires_at"), row.Int32("status"), row.TextOrNull("content_type"), row.Bool("broken"), null);
                if (row.Int64("length") is > 0 and var length) count?.Invoke(length);
                return bound with { Body = await row.BytesOrNullAsync("body", cancellationToken) };
            },
            cancellationToken);
    }

    /// <summary>
    /// Stores the outcome of the generation that the key is bound to. If the generation was erased meanwhile, the key is free instead.
    /// </summary>
    public async Task CompleteAsync(
        string projectId,
        string key,
        string generationId,
        int status,
        string contentType,
        bool broken,
        byte[] body,
        CancellationToken cancellationToken)
    {
        var changed = await storage.ExecuteAsync(
            """
            UPDATE idempotency_keys SET status = @status, content_type = @type, broken = @broken, body = @body
            WHERE project_id = @project AND idempotency_key = @key AND generation_id = @generation
                AND NOT EXISTS (SELECT 1 FROM erased_generations WHERE generation_id = @generation)
            """,
            [
                ("@status", status), ("@type", contentType), ("@broken", broken), ("@body", body), ("@project", projectId), ("@key", key),
                ("@generation", generationId),
            ],
            cancellationToken);
        if (changed == 0) await ReleaseAsync(projectId, key, generationId, cancellationToken);
    }

    /// <summary>Frees a key whose call was rejected; false if it is not bound to it.</summary>
    public async Task<bool> ReleaseAsync(string projectId, string key, string generationId, CancellationToken cancellationToken)
    {
        return await storage.ExecuteAsync(
            """
            DELETE FROM idempotency_keys
            WHERE project_id = @project AND idempotency_key = @key AND generation_id = @generation AND status = 0
            """,
            [("@project", projectId), ("@key", key), ("@generation", generationId)], cancellationToken) > 0;
    }

    /// <summary>Renews the leases of everything that <paramref name="owner"/> runs.</summary>
    public Task RenewAsync(
        string owner,
        DateTimeOffset leaseUntil,
        IReadOnlyCollection<(string ProjectId, string Key)> running,
        CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // In the same order as all other code locks them.
        var ordered = running.OrderBy(one => one.ProjectId, StringComparer.Ordinal).ThenBy(one => one.Key, StringComparer.Ordinal);
        foreach (var (projectId, key) in ordered)
        {
            await connection.ExecuteAsync(
                """
                UPDATE idempotency_keys SET lease_until = @lease
                WHERE project_id = @project AND idempotency_key = @key AND owner = @owner AND status = 0
                """,
                [("@lease", leaseUntil), ("@owner", owner), ("@project", projectId), ("@key", key)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
    });

    /// <summary>Deletes expired keys; returns how many.</summary>
    public Task<int> ExpireAsync(DateTimeOffset now, CancellationToken cancellationToken) => StorageRetry.RunAsync<int>(async () =>
    {
        return await storage.ExecuteAsync(
            $"""
            DELETE FROM idempotency_keys WHERE (project_id, idempotency_key) IN (
                SELECT project_id, idempotency_key FROM idempotency_keys
                WHERE expires_at <= @now AND (status <> 0 OR lease_until <= @now) LIMIT @max{storage.Sql.ForUpdateSkipLocked})
            """,
            [("@now", now), ("@max", ExpireRows)], cancellationToken);
    });
}

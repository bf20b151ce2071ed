using System.Data;
using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Idempotency;

/// <summary>A key in the database.</summary>
/// <param name="Status">HTTP status of the stored outcome; 0 while the generation runs.</param>
/// <param name="Broken">Whether the answer was a stream that ended with an aborted connection.</param>
internal sealed record BoundKey(byte[] RequestHash, string GenerationId, string Owner, DateTimeOffset LeaseUntil, DateTimeOffset ExpiresAt, int Status, string? ContentType, bool Broken, byte[]? Body);

/// <summary>Bound keys in the database, either of the two. What a member returned from is committed. Thread-safe.</summary>
/// <remarks>All members throw what <see cref="StorageFaults"/> tells apart when the database is away.</remarks>
internal sealed class IdempotencyStore(IStorage storage, TimeProvider time)
{
    /// <summary>Rows forgotten in one statement, so that nobody waits long for the write lock.</summary>
    private const int ExpireRows = 200;

    /// <summary>Binds the key when it is free or its time is over. The one winner among all who try at once gets true.</summary>
    /// <exception cref="UnknownCommitException">It may be bound.</exception>
    public Task<bool> TryBindAsync(string projectId, string key, BoundKey bound, DateTimeOffset now, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        // A first try may have bound it to the same generation, which has not begun yet.
        command.CommandText = $"""
            INSERT INTO idempotency_keys (project_id, idempotency_key, request_hash, generation_id, owner, lease_until, expires_at, status, broken)
            VALUES (@project, @key, @hash, @generation, @owner, @lease, @expires, 0, 0)
            ON CONFLICT (project_id, idempotency_key) DO UPDATE SET request_hash = excluded.request_hash, generation_id = excluded.generation_id,
                owner = excluded.owner, lease_until = excluded.lease_until, expires_at = excluded.expires_at, status = 0, content_type = NULL, broken = 0, body = NULL
            WHERE idempotency_keys.expires_at <= @now{(attempt.IsRepeat ? " OR (idempotency_keys.generation_id = excluded.generation_id AND idempotency_keys.status = 0)" : "")}
            """;
        command.AddParameter("@project", projectId);
        command.AddParameter("@key", key);
        command.AddParameter("@hash", bound.RequestHash);
        command.AddParameter("@generation", bound.GenerationId);
        command.AddParameter("@owner", bound.Owner);
        command.AddParameter("@lease", bound.LeaseUntil.ToUnixTimeMilliseconds());
        command.AddParameter("@expires", bound.ExpiresAt.ToUnixTimeMilliseconds());
        command.AddParameter("@now", now.ToUnixTimeMilliseconds());
        attempt.Sending();
        return await storage.Sql.WriteAsync(command, cancellationToken) == 1;
    }, time);

    /// <summary>Null when nothing is bound to the key.</summary>
    /// <param name="projectId">The project.</param>
    /// <param name="key">The key.</param>
    /// <param name="count">Called with the length of the body before it is read; throws when the process has no memory for it. Null for nothing.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task<BoundKey?> FindAsync(string projectId, string key, Action<long>? count, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT request_hash, generation_id, owner, lease_until, expires_at, status, content_type, broken, COALESCE(LENGTH(body), 0), body FROM idempotency_keys WHERE project_id = @project AND idempotency_key = @key";
        command.AddParameter("@project", projectId);
        command.AddParameter("@key", key);
        // Column by column: the length comes first, so that the body is counted before it is in memory.
        await using var reader = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        if (!await reader.ReadAsync(cancellationToken)) return null;
        var bound = new BoundKey(
            reader.GetFieldValue<byte[]>(0), reader.GetString(1), reader.GetString(2), Time(reader, 3), Time(reader, 4), (int)reader.GetInt64(5),
            reader.IsDBNull(6) ? null : reader.GetString(6), reader.GetInt64(7) != 0, null);
        if (reader.GetInt64(8) is > 0 and var length) count?.Invoke(length);
        return await reader.IsDBNullAsync(9, cancellationToken) ? bound : bound with { Body = await reader.GetFieldValueAsync<byte[]>(9, cancellationToken) };
    }

    /// <summary>Stores the outcome of the generation that the key is bound to.</summary>
    public async Task CompleteAsync(string projectId, string key, string generationId, int status, string contentType, bool broken, byte[] body, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = """
            UPDATE idempotency_keys SET status = @status, content_type = @type, broken = @broken, body = @body
            WHERE project_id = @project AND idempotency_key = @key AND generation_id = @generation
            """;
        command.AddParameter("@status", (long)status);
        command.AddParameter("@type", contentType);
        command.AddParameter("@broken", broken ? 1L : 0L);
        command.AddParameter("@body", body);
        command.AddParameter("@project", projectId);
        command.AddParameter("@key", key);
        command.AddParameter("@generation", generationId);
        await storage.Sql.WriteAsync(command, cancellationToken);
    }

    /// <summary>Frees a key whose call was refused; false when it is not bound to it.</summary>
    public async Task<bool> ReleaseAsync(string projectId, string key, string generationId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "DELETE FROM idempotency_keys WHERE project_id = @project AND idempotency_key = @key AND generation_id = @generation AND status = 0";
        command.AddParameter("@project", projectId);
        command.AddParameter("@key", key);
        command.AddParameter("@generation", generationId);
        return await storage.Sql.WriteAsync(command, cancellationToken) > 0;
    }

    /// <summary>A sign of life for everything that <paramref name="owner"/> runs.</summary>
    public Task RenewAsync(string owner, DateTimeOffset leaseUntil, IReadOnlyCollection<(string ProjectId, string Key)> running, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "UPDATE idempotency_keys SET lease_until = @lease WHERE project_id = @project AND idempotency_key = @key AND owner = @owner AND status = 0";
        command.AddParameter("@lease", leaseUntil.ToUnixTimeMilliseconds());
        command.AddParameter("@owner", owner);
        command.AddParameter("@project", "");
        command.AddParameter("@key", "");
        // In one order, as everybody locks them.
        foreach (var (projectId, key) in running.OrderBy(one => one.ProjectId, StringComparer.Ordinal).ThenBy(one => one.Key, StringComparer.Ordinal))
        {
            command.Parameters["@project"].Value = projectId;
            command.Parameters["@key"].Value = key;
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
    });

    /// <summary>Forgets keys whose time is over; returns how many.</summary>
    public Task<int> ExpireAsync(DateTimeOffset now, CancellationToken cancellationToken) => StorageRetry.RunAsync<int>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = $"""
            DELETE FROM idempotency_keys WHERE (project_id, idempotency_key) IN
                (SELECT project_id, idempotency_key FROM idempotency_keys WHERE expires_at <= @now AND (status <> 0 OR lease_until <= @now) LIMIT @most{storage.Sql.ForUpdateSkipLocked})
            """;
        command.AddParameter("@now", now.ToUnixTimeMilliseconds());
        command.AddParameter("@most", (long)ExpireRows);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    });

    private static DateTimeOffset Time(DbDataReader reader, int column) => DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(column));
}

using System.Data;
using System.Data.Common;
using Fairlead.Generations;
using Fairlead.Storage;

namespace Fairlead.Responses;

internal sealed class DatabaseResponseStore(IStorage storage, TimeProvider time) : IResponseStore
{
    /// <summary>Rows of one statement, so that other writers get in between.</summary>
    private const int BatchRows = 200;

    public Task SaveAsync(StoredResponse response, RunLease? lease, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = lease is null
            ? $"""
                INSERT INTO stored_responses (id, project_id, status, previous_id, created_at, expires_at, response, input, output)
                VALUES (@id, @project, @status, @previous, @created, @expires, @response, @input, @output){(attempt.IsRepeat ? " ON CONFLICT (id) DO NOTHING" : "")}
                """
            : """
                INSERT INTO stored_responses (id, project_id, status, previous_id, created_at, expires_at, response, input, output)
                SELECT @id, @project, @status, @previous, @created, @expires, @response, @input, @output
                WHERE EXISTS (SELECT 1 FROM generations WHERE id = @generation AND lease_owner = @owner AND runs = @run AND status = 'in_progress')
                ON CONFLICT (id) DO UPDATE SET status = excluded.status, expires_at = excluded.expires_at, response = excluded.response, input = excluded.input, output = excluded.output
                """;
        if (lease is not null)
        {
            command.AddParameter("@generation", lease.GenerationId);
            command.AddParameter("@owner", lease.Owner);
            command.AddParameter("@run", (long)lease.Number);
        }
        command.AddParameter("@id", response.Id);
        command.AddParameter("@project", response.ProjectId);
        command.AddParameter("@status", response.Status);
        command.AddParameter("@previous", System.Data.DbType.String, response.PreviousId);
        command.AddParameter("@created", response.CreatedAt.ToUnixTimeMilliseconds());
        command.AddParameter("@expires", response.ExpiresAt.ToUnixTimeMilliseconds());
        command.AddParameter("@response", response.Response);
        command.AddParameter("@input", response.Input);
        command.AddParameter("@output", response.Output);
        attempt.Sending();
        return await storage.Sql.WriteAsync(command, cancellationToken);
    }, time);

    public async Task<StoredResponse?> FindAsync(string projectId, string id, StoredParts parts, Action<long>? count, CancellationToken cancellationToken)
    {
        // PostgreSQL takes no zero byte in a text, and no id of ours has one.
        if (id.Contains('\0', StringComparison.Ordinal)) return null;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        var columns = parts switch
        {
            StoredParts.None => ", 0",
            StoredParts.Response => ", LENGTH(response), response",
            _ => ", LENGTH(input) + LENGTH(output), input, output",
        };
#pragma warning disable CA2100 // Constants of this program.
        command.CommandText = $"SELECT status, previous_id, created_at, expires_at{columns} FROM stored_responses WHERE id = @id AND project_id = @project AND expires_at > @now";
#pragma warning restore CA2100
        Identify(command, projectId, id);
        command.AddParameter("@now", Now);
        // Column by column: the length comes first, so that a part is counted before it is in memory.
        await using var reader = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        if (!await reader.ReadAsync(cancellationToken)) return null;
        var head = new StoredResponse(
            id,
            projectId,
            reader.GetString(0),
            reader.IsDBNull(1) ? null : reader.GetString(1),
            DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(2)),
            DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(3)),
            [],
            [],
            []);
        if (parts == StoredParts.None) return head;
        count?.Invoke(reader.GetInt64(4));
        var first = await reader.GetFieldValueAsync<byte[]>(5, cancellationToken);
        return parts == StoredParts.Response ? head with { Response = first } : head with { Input = first, Output = await reader.GetFieldValueAsync<byte[]>(6, cancellationToken) };
    }

    public async Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        if (id.Contains('\0', StringComparison.Ordinal)) return false;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "DELETE FROM stored_responses WHERE id = @id AND project_id = @project AND expires_at > @now";
        Identify(command, projectId, id);
        command.AddParameter("@now", Now);
        return await storage.Sql.WriteAsync(command, cancellationToken) > 0;
    }

    public async Task<long> DeleteExpiredAsync(CancellationToken cancellationToken)
    {
        var total = 0L;
        while (true)
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            await using var command = connection.CreateCommand();
            command.CommandText = $"DELETE FROM stored_responses WHERE id IN (SELECT id FROM stored_responses WHERE expires_at <= @now ORDER BY expires_at LIMIT @most{storage.Sql.ForUpdateSkipLocked})";
            command.AddParameter("@now", Now);
            command.AddParameter("@most", (long)BatchRows);
            var count = await storage.Sql.WriteAsync(command, cancellationToken);
            total += count;
            if (count < BatchRows) return total;
        }
    }

    private long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    private static void Identify(DbCommand command, string projectId, string id)
    {
        command.AddParameter("@id", id);
        command.AddParameter("@project", projectId);
    }
}

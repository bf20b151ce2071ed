using System.Data.Common;
using Fairlead.Generations;
using Fairlead.Storage;

namespace Fairlead.Responses;

internal sealed class DatabaseResponseStore(IStorage storage, TimeProvider time) : IResponseStore
{
    /// <summary>Rows of one statement, so that other writers get in between.</summary>
    private const int BatchRows = 200;

    public async Task SaveAsync(StoredResponse response, RunLease? lease, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = lease is null
            ? """
                INSERT INTO stored_responses (id, project_id, status, previous_id, created_at, expires_at, response, input, output)
                VALUES (@id, @project, @status, @previous, @created, @expires, @response, @input, @output)
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
        await storage.Sql.WriteAsync(command, cancellationToken);
    }

    public async Task<StoredResponse?> FindAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        // PostgreSQL takes no zero byte in a text, and no id of ours has one.
        if (id.Contains('\0', StringComparison.Ordinal)) return null;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT status, previous_id, created_at, expires_at, response, input, output FROM stored_responses WHERE id = @id AND project_id = @project AND expires_at > @now";
        Identify(command, projectId, id);
        command.AddParameter("@now", Now);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken)) return null;
        return new StoredResponse(
            id,
            projectId,
            reader.GetString(0),
            reader.IsDBNull(1) ? null : reader.GetString(1),
            DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(2)),
            DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(3)),
            reader.GetFieldValue<byte[]>(4),
            reader.GetFieldValue<byte[]>(5),
            reader.GetFieldValue<byte[]>(6));
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

using System.Data;
using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Storage;

namespace Fairlead.Responses;

/// <summary>Stored responses in the database. Thread-safe.</summary>
internal sealed class DatabaseResponseStore(IStorage storage, TimeProvider time) : IResponseStore
{
    /// <summary>Maximum of rows that one statement deletes, so that other writers can run in between.</summary>
    private const int BatchRows = 200;

    public Task SaveAsync(StoredResponse response, RunLease? lease, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        (string, SqlValue)[] values =
        [
            ("@id", response.Id), ("@project", response.ProjectId), ("@status", response.Status), ("@previous", response.PreviousId),
            ("@created", response.CreatedAt), ("@expires", response.ExpiresAt), ("@response", response.Response),
            ("@input", response.Input), ("@output", response.Output), ("@key", response.KeyId),
            ("@user", response.EndUser is { } user ? storage.Sql.Storable(user) : null), ("@of", Ids.Sibling("gen_", response.Id)),
        ];
        // An erasure may have found the call by its audit record, which is written before this.
        const string IsNotErased = "NOT EXISTS (SELECT 1 FROM erased_generations WHERE generation_id = @of)";
        await using var connection = await storage.OpenAsync(cancellationToken);
        attempt.Sending();
        if (lease is null)
        {
            return await storage.WriteAsync(
                connection,
                $"""
                INSERT INTO stored_responses (id, project_id, status, previous_id, created_at, expires_at, response, input, output, key_id, end_user)
                SELECT @id, @project, @status, @previous, @created, @expires, @response, @input, @output, @key, @user WHERE {IsNotErased}
                {(attempt.IsRepeat ? "ON CONFLICT (id) DO NOTHING" : "")}
                """,
                values, cancellationToken);
        }
        return await storage.WriteAsync(
            connection,
            $"""
            INSERT INTO stored_responses (id, project_id, status, previous_id, created_at, expires_at, response, input, output, key_id, end_user)
            SELECT @id, @project, @status, @previous, @created, @expires, @response, @input, @output, @key, @user
            WHERE EXISTS (
                SELECT 1 FROM generations WHERE id = @generation AND lease_owner = @owner AND runs = @run AND status = 'in_progress')
                AND {IsNotErased}
            ON CONFLICT (id) DO UPDATE SET status = excluded.status, expires_at = excluded.expires_at, response = excluded.response,
                input = excluded.input, output = excluded.output
            """,
            [.. values, ("@generation", lease.GenerationId), ("@owner", lease.Owner), ("@run", lease.Number)], cancellationToken);
    }, time);

    public async Task<StoredResponse?> FindAsync(
        string projectId, string id, StoredParts parts, Action<long>? count, CancellationToken cancellationToken)
    {
        // PostgreSQL accepts no zero byte in text, and no id of this server contains one.
        if (id.Contains('\0', StringComparison.Ordinal)) return null;
        await using var connection = await storage.OpenAsync(cancellationToken);
        var columns = parts switch
        {
            StoredParts.None => "",
            StoredParts.Response => ", LENGTH(response) AS length, response",
            _ => ", LENGTH(input) + LENGTH(output) AS length, input, output",
        };
        // In the order of the columns: the length comes first, so that a part is counted before it is in memory.
        return await connection.FirstInOrderAsync(
            $"""
            SELECT status, previous_id, created_at, expires_at{columns}
            FROM stored_responses WHERE id = @id AND project_id = @project AND expires_at > @now
            """,
            [("@id", id), ("@project", projectId), ("@now", time.GetUtcNow())],
            async row =>
            {
                var head = new StoredResponse(
                    id, projectId, row.Text("status"), row.TextOrNull("previous_id"), row.Time("created_at"), row.Time("expires_at"),
                    [], [], []);
                if (parts == StoredParts.None) return head;
                count?.Invoke(row.Int64("length"));
                if (parts == StoredParts.Response) return head with { Response = await row.BytesAsync("response", cancellationToken) };
                return head with
                {
                    Input = await row.BytesAsync("input", cancellationToken),
                    Output = await row.BytesAsync("output", cancellationToken),
                };
            },
            cancellationToken);
    }

    public async Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        if (id.Contains('\0', StringComparison.Ordinal)) return false;
        return await storage.ExecuteAsync(
            "DELETE FROM stored_responses WHERE id = @id AND project_id = @project AND expires_at > @now",
            [("@id", id), ("@project", projectId), ("@now", time.GetUtcNow())], cancellationToken) > 0;
    }

    public async Task<long> DeleteExpiredAsync(CancellationToken cancellationToken)
    {
        var total = 0L;
        while (true)
        {
            var count = await storage.ExecuteAsync(
                $"""
                DELETE FROM stored_responses WHERE id IN (
                    SELECT id FROM stored_responses WHERE expires_at <= @now ORDER BY expires_at
                    LIMIT @max{storage.Sql.ForUpdateSkipLocked})
                """,
                [("@now", time.GetUtcNow()), ("@max", BatchRows)], cancellationToken);
            total += count;
            if (count < BatchRows) return total;
        }
    }
}

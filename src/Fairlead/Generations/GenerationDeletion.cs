using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>Deletes generations from the database. A change is committed when its method returns. Thread-safe.</summary>
internal sealed class GenerationDeletion(IStorage storage, TimeProvider time)
{
    private const string DeleteEvents = "DELETE FROM generation_events WHERE generation_id = @id";

    /// <summary>
    /// Deletes a generation that has ended, as if it had expired. False if the project has no ended generation of this id.
    /// </summary>
    public Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // Result and events are deleted now. The row follows when expired generations are deleted.
        var expired = await connection.ExecuteAsync(
            """
            UPDATE generations SET expires_at = @now, result = NULL, details = NULL, event_count = 0
            WHERE id = @id AND project_id = @project AND expires_at > @now
            """,
            [("@id", storage.Sql.Storable(id)), ("@project", projectId), ("@now", time.GetUtcNow())], cancellationToken);
        if (expired == 0) return false;
        await connection.ExecuteAsync(DeleteEvents, [("@id", id)], cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    });

    /// <summary>Deletes some of the generations that expired before <paramref name="now"/>. Returns how many; 0 if none is left.</summary>
    public Task<int> DeleteExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var expired = await connection.QueryAsync(
            $"""
            DELETE FROM generations WHERE id IN (
                SELECT id FROM generations WHERE expires_at < @now LIMIT 1000{storage.Sql.ForUpdateSkipLocked}) RETURNING id
            """,
            [("@now", now)], row => row.Text("id"), cancellationToken);
        foreach (var id in expired) await connection.ExecuteAsync(DeleteEvents, [("@id", id)], cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return expired.Count;
    });
}

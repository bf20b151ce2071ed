using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Files;

/// <summary>
/// Metadata of files; their content is in <see cref="IFileContents"/>. A change is committed when its method returns. Thread-safe.
/// </summary>
internal sealed class FileStore(IStorage storage, TimeProvider time)
{
    private const string Columns = "id, organization_id, project_id, filename, purpose, bytes, created_at, expires_at";
    private const string Live = "status = 'ready' AND expires_at > @now";

    /// <summary>A file that is being written is deleted when its writer has not renewed it for this time: the process stopped.</summary>
    public static readonly TimeSpan WritingLease = TimeSpan.FromMinutes(10);

    /// <summary>Records that the content will be written, and reserves room for it. Reads do not find the file yet.</summary>
    /// <param name="file">The file.</param>
    /// <param name="bytes">Bytes to reserve.</param>
    /// <param name="maxProjectBytes">Maximum of bytes of the project, or null for no limit.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>False when the project has no room for it.</returns>
    public Task<bool> BeginAsync(StoredFile file, long bytes, long? maxProjectBytes, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (maxProjectBytes is { } max
            && await RoomAsync(connection, transaction, file, max, cancellationToken) < Math.Max(bytes, 1))
        {
            return false;
        }
        await connection.ExecuteAsync(
            $"""
            INSERT INTO files (id, organization_id, project_id, filename, purpose, status, bytes, created_at, expires_at)
            VALUES (@id, @organization, @project, @name, @purpose, 'writing', @bytes, @created, @expires)
            {(attempt.IsRepeat ? "ON CONFLICT (id) DO NOTHING" : "")}
            """,
            [
                ("@id", file.Id), ("@organization", file.OrganizationId), ("@project", file.ProjectId),
                ("@name", storage.Sql.Storable(file.FileName)),
                ("@purpose", file.Purpose), ("@bytes", bytes), ("@created", file.CreatedAt), ("@expires", time.GetUtcNow() + WritingLease),
            ],
            cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    /// <summary>Reserves more room for a file that is being written, and renews its lease.</summary>
    /// <param name="file">The file.</param>
    /// <param name="needed">Bytes of the whole content that it must have.</param>
    /// <param name="wished">Bytes that it gets where that leaves others at least fifteen times as many more.</param>
    /// <param name="maxProjectBytes">Maximum of bytes of the project, or null for no limit.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>
    /// The bytes it has from now on; -1 when there is no room for <paramref name="needed"/>. Then its reservation is free at once, so that
    /// another upload may have it. The caller removes the content.
    /// </returns>
    /// <exception cref="StorageException">It took so long to write that it was given up.</exception>
    public Task<long> GrowAsync(
        StoredFile file, long needed, long wished, long? maxProjectBytes, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var granted = wished;
        if (maxProjectBytes is { } max)
        {
            var room = await RoomAsync(connection, transaction, file, max, cancellationToken);
            granted = room < needed ? 0 : needed + Math.Clamp(wished - needed, 0, (room - needed) / 16);
        }
        var updated = await connection.ExecuteAsync(
            "UPDATE files SET bytes = @bytes, expires_at = @expires WHERE id = @id AND status = 'writing'",
            [("@bytes", granted), ("@expires", time.GetUtcNow() + WritingLease), ("@id", file.Id)], cancellationToken);
        if (updated == 0) throw GivenUp(file);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return granted == 0 ? -1 : granted;
    }, time);

    /// <summary>Makes the file visible: its content is written.</summary>
    /// <param name="file">The file with the length of its content.</param>
    /// <param name="maxProjectBytes">Maximum of bytes of the project, or null for no limit.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>False when the project would exceed its maximum.</returns>
    /// <exception cref="UnknownCommitException">It may exist.</exception>
    public Task<bool> CompleteAsync(StoredFile file, long? maxProjectBytes, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (maxProjectBytes is { } max && await RoomAsync(connection, transaction, file, max, cancellationToken) < file.Bytes) return false;
        if (attempt.IsRepeat && await IsReadyAsync(connection, file.Id, cancellationToken)) return true;
        await CompleteAsync(connection, file, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    private async Task<bool> IsReadyAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        await connection.TextAsync($"SELECT status FROM files WHERE id = @id{storage.Sql.ForUpdate}", [("@id", id)], cancellationToken)
            is "ready";

    /// <summary>The same in the transaction that is open on the connection.</summary>
    public async Task CompleteAsync(DbConnection connection, StoredFile file, CancellationToken cancellationToken)
    {
        var updated = await connection.ExecuteAsync(
            """
            UPDATE files SET status = 'ready', filename = @name, purpose = @purpose, bytes = @bytes, expires_at = @expires
            WHERE id = @id AND status = 'writing'
            """,
            [
                ("@name", storage.Sql.Storable(file.FileName)), ("@purpose", file.Purpose), ("@bytes", file.Bytes),
                ("@expires", file.ExpiresAt),
                ("@id", file.Id),
            ],
            cancellationToken);
        if (updated == 0) throw GivenUp(file);
    }

    /// <summary>Null when the project has no file of this id, or it has expired.</summary>
    public async Task<StoredFile?> FindAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM files WHERE id = @id AND project_id = @project AND {Live}",
            [("@id", storage.Sql.Storable(id)), ("@project", projectId), ("@now", time.GetUtcNow())], Read, cancellationToken);
    }

    /// <summary>Files by age.</summary>
    /// <param name="projectId">Those of this project.</param>
    /// <param name="purpose">Only this one, or null.</param>
    /// <param name="after">Only those after this id in the order of the list, or null.</param>
    /// <param name="isNewestFirst">The order.</param>
    /// <param name="limit">How many.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public async Task<IReadOnlyList<StoredFile>> ListAsync(
        string projectId, string? purpose, string? after, bool isNewestFirst, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var where = $"project_id = @project AND {Live}";
        if (purpose is not null) where += " AND purpose = @purpose";
        if (after is not null) where += isNewestFirst ? " AND id < @after" : " AND id > @after";
        return await connection.QueryAsync(
            $"SELECT {Columns} FROM files WHERE {where} ORDER BY id {(isNewestFirst ? "DESC" : "ASC")} LIMIT @limit",
            [
                ("@project", projectId), ("@now", time.GetUtcNow()), ("@purpose", purpose is null ? null : storage.Sql.Storable(purpose)),
                ("@after", after is null ? null : storage.Sql.Storable(after)), ("@limit", limit),
            ],
            Read, cancellationToken);
    }

    /// <summary>
    /// Bytes that a project's files occupy, including those that are being written and those that are deleted or expired but still
    /// held or not yet removed.
    /// </summary>
    public async Task<long> BytesOfAsync(string projectId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await BytesOfAsync(connection, projectId, except: "", cancellationToken);
    }

    /// <summary>Makes a file invisible.</summary>
    /// <returns>
    /// Null when the project has no file of this id; otherwise whether its content may be removed now, because nothing holds it.
    /// </returns>
    public async Task<bool?> DeleteAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var holders = await connection.Int64Async(
            $"UPDATE files SET expires_at = @now WHERE id = @id AND project_id = @project AND {Live} RETURNING holders",
            [("@id", storage.Sql.Storable(id)), ("@project", projectId), ("@now", time.GetUtcNow())], cancellationToken);
        if (holders is not { } count) return null;
        await transaction.CommitAsync(cancellationToken);
        return count == 0;
    }

    /// <summary>
    /// Keeps the content until <see cref="LetGoAsync"/>, whatever happens to the file, in the transaction that is open on the
    /// connection. False when the file does not exist any more.
    /// </summary>
    public async Task<bool> HoldAsync(DbConnection connection, string projectId, string id, CancellationToken cancellationToken) =>
        await connection.ExecuteAsync(
            $"UPDATE files SET holders = holders + 1 WHERE id = @id AND project_id = @project AND {Live}",
            [("@id", id), ("@project", projectId), ("@now", time.GetUtcNow())], cancellationToken) > 0;

    public static Task LetGoAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("UPDATE files SET holders = holders - 1 WHERE id = @id AND holders > 0", [("@id", id)], cancellationToken);

    /// <summary>Ids of some files whose content may be removed.</summary>
    public async Task<IReadOnlyList<string>> ExpiredAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            "SELECT id FROM files WHERE expires_at <= @now AND holders = 0 ORDER BY expires_at LIMIT 100",
            [("@now", time.GetUtcNow())], row => row.Text("id"), cancellationToken);
    }

    /// <summary>Deletes the row of a file whose content was removed.</summary>
    public async Task ForgetAsync(string id, CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync("DELETE FROM files WHERE id = @id", [("@id", id)], cancellationToken);
    }

    /// <summary>Bytes that the file may have beside the project's other files. It stays true until the end of the transaction.</summary>
    private async Task<long> RoomAsync(
        DbConnection connection, DbTransaction transaction, StoredFile file, long maxProjectBytes, CancellationToken cancellationToken)
    {
        await storage.Sql.LockAsync(transaction, StorageLock.Files, cancellationToken);
        return maxProjectBytes - await BytesOfAsync(connection, file.ProjectId, file.Id, cancellationToken);
    }

    private static async Task<long> BytesOfAsync(
        DbConnection connection, string projectId, string except, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM files WHERE project_id = @project AND id <> @except",
            [("@project", projectId), ("@except", except)], cancellationToken) ?? 0;

    private static StorageException GivenUp(StoredFile file) => new($"The file {file.Id} took so long to write that it was given up.");

    private static StoredFile Read(SqlRow row) => new()
    {
        Id = row.Text("id"),
        OrganizationId = row.Text("organization_id"),
        ProjectId = row.Text("project_id"),
        FileName = row.Text("filename"),
        Purpose = row.Text("purpose"),
        Bytes = row.Int64("bytes"),
        CreatedAt = row.Time("created_at"),
        ExpiresAt = row.Time("expires_at"),
    };
}

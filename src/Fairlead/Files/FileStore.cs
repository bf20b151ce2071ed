using System.Data.Common;
using System.Globalization;
using Fairlead.Storage;

namespace Fairlead.Files;

/// <summary>What is known of files; their content is in <see cref="IFileContents"/>. What a member returned from is committed. Thread-safe.</summary>
internal sealed class FileStore(IStorage storage, TimeProvider time)
{
    private const string Columns = "id, organization_id, project_id, filename, purpose, bytes, created_at, expires_at";
    private const string Live = "status = 'ready' AND expires_at > @now";

    /// <summary>After this time without a sign of life a file that is being written belongs to a process that is gone, and goes.</summary>
    public static readonly TimeSpan WritingLease = TimeSpan.FromMinutes(10);

    /// <summary>Notes that the content is about to be written, and reserves room for it. Nobody finds the file yet.</summary>
    /// <param name="file">The file.</param>
    /// <param name="bytes">Bytes to reserve.</param>
    /// <param name="maxProjectBytes">All that the project may have, or null for no limit.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <returns>False when the project has no room for it.</returns>
    public Task<bool> BeginAsync(StoredFile file, long bytes, long? maxProjectBytes, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (maxProjectBytes is { } max && await RoomAsync(connection, transaction, file, max, cancellationToken) < Math.Max(bytes, 1)) return false;
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = $"""
            INSERT INTO files (id, organization_id, project_id, filename, purpose, status, bytes, created_at, expires_at)
            VALUES (@id, @organization, @project, @name, @purpose, 'writing', @bytes, @created, @expires){(attempt.IsRepeat ? " ON CONFLICT (id) DO NOTHING" : "")}
            """;
        command.AddParameter("@id", file.Id);
        command.AddParameter("@organization", file.OrganizationId);
        command.AddParameter("@project", file.ProjectId);
        command.AddParameter("@name", storage.Sql.Storable(file.FileName));
        command.AddParameter("@purpose", file.Purpose);
        command.AddParameter("@bytes", bytes);
        command.AddParameter("@created", Ms(file.CreatedAt));
        command.AddParameter("@expires", Ms(time.GetUtcNow() + WritingLease));
        await command.ExecuteNonQueryAsync(cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    /// <summary>Reserves more room for a file that is being written, and renews its time.</summary>
    /// <param name="file">The file.</param>
    /// <param name="needed">Bytes of the whole content that it must have.</param>
    /// <param name="wished">Bytes that it gets where that leaves others at least fifteen times as many more.</param>
    /// <param name="maxProjectBytes">All that the project may have, or null for no limit.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <returns>
    /// The bytes it has from now on; -1 when there is no room for <paramref name="needed"/>. Then what it had reserved is free at once, so that the next of several
    /// uploads may have it instead of being refused too. The caller removes the content.
    /// </returns>
    /// <exception cref="StorageException">It took so long to write that it was given up.</exception>
    public Task<long> GrowAsync(StoredFile file, long needed, long wished, long? maxProjectBytes, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var granted = wished;
        if (maxProjectBytes is { } max)
        {
            var room = await RoomAsync(connection, transaction, file, max, cancellationToken);
            granted = room < needed ? 0 : needed + Math.Clamp(wished - needed, 0, (room - needed) / 16);
        }
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "UPDATE files SET bytes = @bytes, expires_at = @expires WHERE id = @id AND status = 'writing'";
        command.AddParameter("@bytes", granted);
        command.AddParameter("@expires", Ms(time.GetUtcNow() + WritingLease));
        command.AddParameter("@id", file.Id);
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0) throw GivenUp(file);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return granted == 0 ? -1 : granted;
    }, time);

    /// <summary>The content is written: from now on the file is there.</summary>
    /// <param name="file">The file with the length of its content.</param>
    /// <param name="maxProjectBytes">All that the project may have, or null for no limit.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <returns>False when the project would have more than it may.</returns>
    /// <exception cref="UnknownCommitException">It may be there.</exception>
    public Task<bool> CompleteAsync(StoredFile file, long? maxProjectBytes, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (maxProjectBytes is { } max && await RoomAsync(connection, transaction, file, max, cancellationToken) < file.Bytes) return false;
        if (attempt.IsRepeat && await IsReadyAsync(connection, transaction, file.Id, cancellationToken)) return true;
        await CompleteAsync(connection, transaction, file, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    private async Task<bool> IsReadyAsync(DbConnection connection, DbTransaction transaction, string id, CancellationToken cancellationToken)
    {
        await using var find = connection.CreateCommand();
        find.Transaction = transaction;
        find.CommandText = $"SELECT status FROM files WHERE id = @id{storage.Sql.ForUpdate}";
        find.AddParameter("@id", id);
        return await find.ExecuteScalarAsync(cancellationToken) is "ready";
    }

    /// <summary>The same within a transaction of the caller's.</summary>
    public async Task CompleteAsync(DbConnection connection, DbTransaction transaction, StoredFile file, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "UPDATE files SET status = 'ready', filename = @name, purpose = @purpose, bytes = @bytes, expires_at = @expires WHERE id = @id AND status = 'writing'";
        command.AddParameter("@name", storage.Sql.Storable(file.FileName));
        command.AddParameter("@purpose", file.Purpose);
        command.AddParameter("@bytes", file.Bytes);
        command.AddParameter("@expires", Ms(file.ExpiresAt));
        command.AddParameter("@id", file.Id);
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0) throw GivenUp(file);
    }

    /// <summary>Null when there is none of this id in the project, or it has expired.</summary>
    public async Task<StoredFile?> FindAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = $"SELECT {Columns} FROM files WHERE id = @id AND project_id = @project AND {Live}";
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    /// <summary>Files by age.</summary>
    /// <param name="projectId">Those of this project.</param>
    /// <param name="purpose">Only this one, or null.</param>
    /// <param name="after">Only those behind this id in the order of the list, or null.</param>
    /// <param name="isNewestFirst">The order.</param>
    /// <param name="limit">At most so many.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task<IReadOnlyList<StoredFile>> ListAsync(string projectId, string? purpose, string? after, bool isNewestFirst, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        var where = $"project_id = @project AND {Live}";
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        if (purpose is not null)
        {
            where += " AND purpose = @purpose";
            command.AddParameter("@purpose", storage.Sql.Storable(purpose));
        }
        if (after is not null)
        {
            where += isNewestFirst ? " AND id < @after" : " AND id > @after";
            command.AddParameter("@after", storage.Sql.Storable(after));
        }
        var order = isNewestFirst ? "DESC" : "ASC";
#pragma warning disable CA2100 // Values are parameters; the conditions are constants of this program.
        command.CommandText = string.Create(CultureInfo.InvariantCulture, $"SELECT {Columns} FROM files WHERE {where} ORDER BY id {order} LIMIT {limit}");
#pragma warning restore CA2100
        var files = new List<StoredFile>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) files.Add(Read(reader));
        return files;
    }

    /// <summary>Bytes that a project's files occupy: also those that are being written, and those that are deleted or expired and still held or not yet removed.</summary>
    public async Task<long> BytesOfAsync(string projectId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await BytesOfAsync(connection, null, projectId, except: "", cancellationToken);
    }

    /// <summary>From now on nobody finds it.</summary>
    /// <returns>Null when there is none of this id in the project; otherwise whether its content may go now, since nobody holds it.</returns>
    public async Task<bool?> DeleteAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = $"UPDATE files SET expires_at = @now WHERE id = @id AND project_id = @project AND {Live} RETURNING holders";
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        if (await command.ExecuteScalarAsync(cancellationToken) is not { } holders) return null;
        await transaction.CommitAsync(cancellationToken);
        return Convert.ToInt64(holders, CultureInfo.InvariantCulture) == 0;
    }

    /// <summary>Keeps the content until <see cref="LetGoAsync"/>, whatever becomes of the file. False when it is not there any more.</summary>
    public async Task<bool> HoldAsync(DbConnection connection, DbTransaction transaction, string projectId, string id, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = $"UPDATE files SET holders = holders + 1 WHERE id = @id AND project_id = @project AND {Live}";
        command.AddParameter("@id", id);
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        return await command.ExecuteNonQueryAsync(cancellationToken) > 0;
    }

    public static async Task LetGoAsync(DbConnection connection, DbTransaction transaction, string id, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "UPDATE files SET holders = holders - 1 WHERE id = @id AND holders > 0";
        command.AddParameter("@id", id);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Ids of some files whose content may go.</summary>
    public async Task<IReadOnlyList<string>> ExpiredAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT id FROM files WHERE expires_at <= @now AND holders = 0 ORDER BY expires_at LIMIT 100";
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        var ids = new List<string>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) ids.Add(reader.GetString(0));
        return ids;
    }

    /// <summary>Forgets a file whose content is gone.</summary>
    public async Task ForgetAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "DELETE FROM files WHERE id = @id";
        command.AddParameter("@id", id);
        await storage.Sql.WriteAsync(command, cancellationToken);
    }

    /// <summary>Bytes that the file may have beside the project's other files, which stays true to the end of the transaction.</summary>
    private async Task<long> RoomAsync(DbConnection connection, DbTransaction transaction, StoredFile file, long maxProjectBytes, CancellationToken cancellationToken)
    {
        await storage.Sql.LockAsync(transaction, StorageLock.Files, cancellationToken);
        return maxProjectBytes - await BytesOfAsync(connection, transaction, file.ProjectId, file.Id, cancellationToken);
    }

    private static async Task<long> BytesOfAsync(DbConnection connection, DbTransaction? transaction, string projectId, string except, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM files WHERE project_id = @project AND id <> @except";
        command.AddParameter("@project", projectId);
        command.AddParameter("@except", except);
        return Convert.ToInt64(await command.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture);
    }

    private static StorageException GivenUp(StoredFile file) => new($"The file {file.Id} took so long to write that it was given up.");

    private static StoredFile Read(DbDataReader row) => new()
    {
        Id = row.GetString(0),
        OrganizationId = row.GetString(1),
        ProjectId = row.GetString(2),
        FileName = row.GetString(3),
        Purpose = row.GetString(4),
        Bytes = row.GetInt64(5),
        CreatedAt = DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(6)),
        ExpiresAt = DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(7)),
    };

    private static long Ms(DateTimeOffset at) => at.ToUnixTimeMilliseconds();
}

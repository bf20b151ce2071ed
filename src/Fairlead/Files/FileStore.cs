using System.Data.Common;
using System.Globalization;
using Fairlead.Storage;

namespace Fairlead.Files;

/// <summary>What is known of files; their content is in <see cref="IFileContents"/>. What a member returned from is committed. Thread-safe.</summary>
internal sealed class FileStore(IStorage storage, TimeProvider time)
{
    private const string Columns = "id, organization_id, project_id, filename, purpose, bytes, created_at, expires_at";
    private const string Live = "status = 'ready' AND expires_at > @now";

    // Longer than any upload or assembly takes. What is still unfinished then belongs to a process that is gone.
    private static readonly TimeSpan LongestWriting = TimeSpan.FromHours(24);

    /// <summary>Notes that the content is about to be written. Nobody finds the file yet.</summary>
    public async Task BeginAsync(StoredFile file, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = """
            INSERT INTO files (id, organization_id, project_id, filename, purpose, status, bytes, created_at, expires_at)
            VALUES (@id, @organization, @project, @name, @purpose, 'writing', 0, @created, @expires)
            """;
        command.AddParameter("@id", file.Id);
        command.AddParameter("@organization", file.OrganizationId);
        command.AddParameter("@project", file.ProjectId);
        command.AddParameter("@name", storage.Sql.Storable(file.FileName));
        command.AddParameter("@purpose", file.Purpose);
        command.AddParameter("@created", Ms(file.CreatedAt));
        command.AddParameter("@expires", Ms(time.GetUtcNow() + LongestWriting));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>The content is written: from now on the file is there.</summary>
    public Task CompleteAsync(StoredFile file, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await CompleteAsync(connection, transaction, file, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    });

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
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0) throw new StorageException($"The file {file.Id} took so long to write that it was given up.");
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

    /// <summary>Bytes of all files of a project that are there.</summary>
    public async Task<long> BytesOfAsync(string projectId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = $"SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM files WHERE project_id = @project AND {Live}";
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        return Convert.ToInt64(await command.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture);
    }

    /// <summary>From now on nobody finds it. False when there is none of this id in the project.</summary>
    public async Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = $"UPDATE files SET expires_at = @now WHERE id = @id AND project_id = @project AND {Live}";
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        return await command.ExecuteNonQueryAsync(cancellationToken) > 0;
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
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

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

using System.Data.Common;
using System.Globalization;

namespace Fairlead.Storage;

/// <summary>
/// Brings a database up to date: every step that is not noted in <c>schema_version</c>, in order of their numbers, in one
/// transaction that holds the write lock from its first statement. So of several processes starting on one database one works and
/// the others find the work done, and a process killed half-way leaves the schema as it was.
/// </summary>
internal sealed class SchemaMigrator
{
    private const string Table = "schema_version";

    /// <summary>For a lock that another node holds, and for steps that rewrite large tables.</summary>
    private const int TimeoutSeconds = 600;

    private readonly ISchemaStep[] _steps;
    private readonly TimeProvider _time;

    /// <exception cref="SchemaException">Two steps share a number.</exception>
    public SchemaMigrator(IEnumerable<ISchemaStep> steps, TimeProvider time)
    {
        _steps = [.. steps.OrderBy(step => step.Version)];
        _time = time;
        for (var i = 1; i < _steps.Length; i++)
        {
            if (_steps[i].Version == _steps[i - 1].Version)
                throw new SchemaException($"Two schema steps have the number {_steps[i].Version}: '{_steps[i - 1].Name}' and '{_steps[i].Name}'. Give one of them the next free number.");
        }
    }

    /// <returns>How many steps were applied.</returns>
    /// <exception cref="SchemaException">The database has steps this program does not know.</exception>
    public async Task<int> MigrateAsync(DbConnection connection, SqlFlavour sql, CancellationToken cancellationToken)
    {
        // A look without the lock: the usual start finds everything applied and must not wait for a writer.
        if (await sql.TableExistsAsync(connection, Table, cancellationToken) && Missing(await AppliedAsync(connection, null, cancellationToken)).Count == 0) return 0;

        await using var transaction = await sql.BeginWriteAsync(connection, cancellationToken);
        await sql.LockAsync(transaction, StorageLock.Schema, cancellationToken);
        await ExecuteAsync(connection, transaction, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)", cancellationToken);
        var missing = Missing(await AppliedAsync(connection, transaction, cancellationToken));
        foreach (var step in missing)
        {
            await ExecuteAsync(connection, transaction, step.Sql(sql), cancellationToken);
            await using var note = connection.CreateCommand();
            note.Transaction = transaction;
            note.CommandText = "INSERT INTO schema_version (version, name, applied_at) VALUES (@version, @name, @applied_at)";
            note.AddParameter("@version", step.Version);
            note.AddParameter("@name", step.Name);
            note.AddParameter("@applied_at", _time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
            await note.ExecuteNonQueryAsync(cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return missing.Count;
    }

    private List<ISchemaStep> Missing(HashSet<int> applied)
    {
        var unknown = applied.Where(version => Array.TrueForAll(_steps, step => step.Version != version)).ToArray();
        if (unknown.Length > 0)
            throw new SchemaException($"The database has schema step {unknown.Max()}, which this version of Fairlead does not know: a newer version made it. Start that version, or restore a backup from before the upgrade.");
        return [.. _steps.Where(step => !applied.Contains(step.Version))];
    }

    private static async Task<HashSet<int>> AppliedAsync(DbConnection connection, DbTransaction? transaction, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT version FROM schema_version";
        var applied = new HashSet<int>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) applied.Add(reader.GetInt32(0));
        return applied;
    }

    private static async Task ExecuteAsync(DbConnection connection, DbTransaction transaction, string sql, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // The statements are constants of this program.
        command.CommandText = sql;
        command.CommandTimeout = TimeoutSeconds;
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}

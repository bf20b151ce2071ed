using System.Data.Common;
using System.Globalization;

namespace Fairlead.Storage;

/// <summary>
/// Updates the schema of a database: runs every step that is not in <c>schema_version</c>, in the order of their numbers, in one
/// transaction that has the write lock from its first statement. If several processes start on one database, one of them updates it. A
/// process that is killed leaves the schema unchanged.
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
            {
                throw new SchemaException(
                    $"Two schema steps have the number {_steps[i].Version}: '{_steps[i - 1].Name}' and '{_steps[i].Name}'. "
                    + "Give one of them the next free number.");
            }
        }
    }

    /// <returns>How many steps were applied.</returns>
    /// <exception cref="SchemaException">The database has steps that this program does not know.</exception>
    public async Task<int> MigrateAsync(DbConnection connection, SqlFlavour sql, CancellationToken cancellationToken)
    {
        // First without the lock: usually all steps are applied, and a start must not wait for a writer.
        var exists = await sql.TableExistsAsync(connection, Table, cancellationToken);
        if (exists && Missing(await AppliedAsync(connection, cancellationToken)).Count == 0) return 0;

        await using var transaction = await sql.BeginWriteAsync(connection, cancellationToken);
        await sql.LockAsync(transaction, StorageLock.Schema, cancellationToken);
        await ExecuteAsync(
            connection, transaction,
            "CREATE TABLE IF NOT EXISTS schema_version "
            + "(version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)",
            cancellationToken);
        var missing = Missing(await AppliedAsync(connection, cancellationToken));
        foreach (var step in missing)
        {
            await ExecuteAsync(connection, transaction, step.Sql(sql), cancellationToken);
            var appliedAt = _time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
            await connection.ExecuteAsync(
                "INSERT INTO schema_version (version, name, applied_at) VALUES (@version, @name, @applied_at)",
                [("@version", step.Version), ("@name", step.Name), ("@applied_at", appliedAt)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return missing.Count;
    }

    private List<ISchemaStep> Missing(HashSet<int> applied)
    {
        var unknown = applied.Where(version => Array.TrueForAll(_steps, step => step.Version != version)).ToArray();
        if (unknown.Length > 0)
        {
            throw new SchemaException(
                $"The database has schema step {unknown.Max()}, which this version of Fairlead does not know: a newer version added it. "
                + "Start that version, or restore a backup from before the upgrade.");
        }
        return [.. _steps.Where(step => !applied.Contains(step.Version))];
    }

    private static async Task<HashSet<int>> AppliedAsync(DbConnection connection, CancellationToken cancellationToken) =>
        [.. await connection.QueryAsync("SELECT version FROM schema_version", [], row => row.Int32("version"), cancellationToken)];

    private static async Task ExecuteAsync(
        DbConnection connection, DbTransaction transaction, string sql, CancellationToken cancellationToken)
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

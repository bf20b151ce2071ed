using System.Data;
using System.Data.Common;
using System.Globalization;

namespace Fairlead.Storage;

/// <summary>
/// How all slices run SQL: one statement, its named values, a function for each row. A statement belongs to the transaction that is
/// open on its connection. Errors are the driver's <see cref="DbException"/>; <see cref="StorageErrors"/> classifies them.
/// </summary>
internal static class SqlExtensions
{
    /// <summary>Starts a transaction that only reads, and whose statements see the same state.</summary>
    public static async Task<DbTransaction> BeginSnapshotAsync(this DbConnection connection, CancellationToken cancellationToken) =>
        connection is Microsoft.Data.Sqlite.SqliteConnection sqlite
            ? sqlite.BeginTransaction(deferred: true)
            : await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellationToken);

    /// <summary>Runs one writing statement on a connection of its own, outside of a transaction.</summary>
    /// <returns>Number of rows that it changed.</returns>
    public static async Task<int> ExecuteAsync(
        this IStorage storage, string sql, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await storage.WriteAsync(connection, sql, values, cancellationToken);
    }

    /// <summary>Runs one writing statement outside of a transaction, after the writers that came first.</summary>
    /// <returns>Number of rows that it changed.</returns>
    public static async Task<int> WriteAsync(
        this IStorage storage,
        DbConnection connection,
        string sql,
        (string Name, SqlValue Value)[] values,
        CancellationToken cancellationToken)
    {
        await using var command = Command(connection, sql, values);
        return await storage.Sql.WriteAsync(command, cancellationToken);
    }

    /// <summary>Runs a statement that returns no rows.</summary>
    /// <returns>Number of rows that it changed.</returns>
    public static async Task<int> ExecuteAsync(
        this DbConnection connection, string sql, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken)
    {
        await using var command = Command(connection, sql, values);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Removes the dead rows of a table of PostgreSQL. It may take minutes, and blocks no one.</summary>
    public static async Task VacuumAsync(this DbConnection connection, string table, CancellationToken cancellationToken)
    {
        await using var command = Command(connection, $"VACUUM {table}", []);
        command.CommandTimeout = 3600;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>All rows, each as <paramref name="read"/> returns it.</summary>
    public static async Task<List<T>> QueryAsync<T>(
        this DbConnection connection,
        string sql,
        (string Name, SqlValue Value)[] values,
        Func<SqlRow, T> read,
        CancellationToken cancellationToken)
    {
        await using var command = Command(connection, sql, values);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellationToken)) rows.Add(read(new SqlRow(reader)));
        return rows;
    }

    /// <summary>The first row, or the default of <typeparamref name="T"/> if there are no rows.</summary>
    public static async Task<T?> FirstOrDefaultAsync<T>(
        this DbConnection connection,
        string sql,
        (string Name, SqlValue Value)[] values,
        Func<SqlRow, T> read,
        CancellationToken cancellationToken)
    {
        await using var command = Command(connection, sql, values);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? read(new SqlRow(reader)) : default;
    }

    /// <summary>
    /// As <see cref="FirstOrDefaultAsync"/>, for rows with large values: a column is in memory only when it is read, and columns are read
    /// in the order of the statement.
    /// </summary>
    public static async Task<T?> FirstInOrderAsync<T>(
        this DbConnection connection,
        string sql,
        (string Name, SqlValue Value)[] values,
        Func<SqlRow, ValueTask<T>> read,
        CancellationToken cancellationToken)
    {
        await using var command = Command(connection, sql, values);
        await using var reader = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? await read(new SqlRow(reader)) : default;
    }

    /// <summary>
    /// Reads rows with large values until <paramref name="read"/> returns false, one row after another. A column is in memory only
    /// when it is read, and columns are read in the order of the statement.
    /// </summary>
    public static async Task ReadInOrderAsync(
        this DbConnection connection, string sql, (string Name, SqlValue Value)[] values, Func<SqlRow, ValueTask<bool>> read,
        CancellationToken cancellationToken)
    {
        await using var command = Command(connection, sql, values);
        await using var reader = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        while (await reader.ReadAsync(cancellationToken) && await read(new SqlRow(reader)))
        {
            // The caller keeps what it needs.
        }
    }

    /// <summary>The only column of the first row as an integer; null when there are no rows or the value is NULL.</summary>
    public static async Task<long?> Int64Async(
        this DbConnection connection, string sql, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken) =>
        await ScalarAsync(connection, sql, values, cancellationToken) is { } value
            ? Convert.ToInt64(value, CultureInfo.InvariantCulture)
            : null;

    /// <summary>The only column of the first row as text; null if there are no rows or the value is NULL.</summary>
    public static async Task<string?> TextAsync(
        this DbConnection connection, string sql, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken) =>
        (string?)await ScalarAsync(connection, sql, values, cancellationToken);

    /// <summary>The only column of the first row as bytes; null if there are no rows or the value is NULL.</summary>
    public static async Task<byte[]?> BytesAsync(
        this DbConnection connection, string sql, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken) =>
        (byte[]?)await ScalarAsync(connection, sql, values, cancellationToken);

    private static async Task<object?> ScalarAsync(
        DbConnection connection, string sql, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken)
    {
        await using var command = Command(connection, sql, values);
        return await command.ExecuteScalarAsync(cancellationToken) is { } value and not DBNull ? value : null;
    }

    private static DbCommand Command(DbConnection connection, string sql, (string Name, SqlValue Value)[] values)
    {
        // The SQLite driver gives a new command the open transaction of its connection; PostgreSQL has one transaction per connection.
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // Callers build statements from constants and numbers of this program; everything else is a value.
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, value) in values) value.AddTo(command, name);
        return command;
    }
}

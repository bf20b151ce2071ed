using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// A prepared statement that is bound directly from UTF-8 bytes. The provider's own command converts each value into an object and each
/// text into a string and back, which costs more than the insert itself. For one thread and one connection.
/// </summary>
internal sealed class SqliteStatement : IDisposable
{
    private readonly sqlite3 _database;
    private readonly sqlite3_stmt _statement;
    private int _next = 1;

    public SqliteStatement(SqliteConnection connection, string sql)
    {
        _database = connection.Handle ?? throw new InvalidOperationException("The connection is not open.");
        Check(raw.sqlite3_prepare_v2(_database, sql, out _statement));
    }

    public SqliteStatement Bind(ReadOnlyMemory<byte> text)
    {
        // An empty span has no address, which SQLite would treat as NULL.
        Check(text.IsEmpty ? raw.sqlite3_bind_text(_statement, _next++, "") : raw.sqlite3_bind_text(_statement, _next++, text.Span));
        return this;
    }

    public SqliteStatement BindNull()
    {
        Check(raw.sqlite3_bind_null(_statement, _next++));
        return this;
    }

    public SqliteStatement Bind(string text)
    {
        Check(raw.sqlite3_bind_text(_statement, _next++, text));
        return this;
    }

    public SqliteStatement Bind(long value)
    {
        Check(raw.sqlite3_bind_int64(_statement, _next++, value));
        return this;
    }

    /// <summary>Runs it with the bound values, and resets it for the next ones.</summary>
    /// <returns>Rows changed.</returns>
    /// <exception cref="SqliteException">The database refused.</exception>
    public int Run()
    {
        var result = raw.sqlite3_step(_statement);
        var changes = raw.sqlite3_changes(_database);
        raw.sqlite3_reset(_statement);
        _next = 1;
        if (result is not (raw.SQLITE_DONE or raw.SQLITE_ROW)) Check(result);
        return changes;
    }

    /// <summary>Number of the row that this connection inserted last.</summary>
    public long LastNumber => raw.sqlite3_last_insert_rowid(_database);

    /// <summary>Runs it for the first column of its first row, an integer; null when there is none.</summary>
    /// <exception cref="SqliteException">The database refused.</exception>
    public long? Find()
    {
        var result = raw.sqlite3_step(_statement);
        long? found = result == raw.SQLITE_ROW ? raw.sqlite3_column_int64(_statement, 0) : null;
        raw.sqlite3_reset(_statement);
        _next = 1;
        if (result is not (raw.SQLITE_DONE or raw.SQLITE_ROW)) Check(result);
        return found;
    }

    public void Dispose() => _statement.Dispose();

    private void Check(int result)
    {
        if (result != raw.SQLITE_OK)
            throw new SqliteException($"SQLite error {result}: {raw.sqlite3_errmsg(_database).utf8_to_string()}", result);
    }
}

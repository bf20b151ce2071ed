using Npgsql;

namespace Fairlead.Tests.Common;

/// <summary>
/// Databases for tests, each separate and empty. They are in the server that the superuser connection string <c>FAIRLEAD_TEST_POSTGRES</c>
/// names. Without it, the first database starts a server that ends with the process. If no server is available, the test is skipped and
/// says so.
/// </summary>
internal static class TestPostgres
{
    private static readonly Lazy<string?> Server = new(Find);

    private static int _count;

    /// <summary>A new database; the result is its connection string.</summary>
    public static string CreateDatabase()
    {
        if (Server.Value is not { } server) throw Xunit.Sdk.SkipException.ForSkip("PostgreSQL is not installed here (Debian: apt-get install postgresql), and FAIRLEAD_TEST_POSTGRES does not name one.");
        var name = $"test_{Environment.ProcessId}_{Interlocked.Increment(ref _count)}";
        Execute(server, $"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        return new NpgsqlConnectionStringBuilder(server) { Database = name }.ConnectionString;
    }

    /// <summary>Removes it, also under open connections.</summary>
    public static void DropDatabase(string connectionString)
    {
        NpgsqlConnection.ClearPool(new NpgsqlConnection(connectionString));
        Execute(Server.Value!, $"DROP DATABASE IF EXISTS {new NpgsqlConnectionStringBuilder(connectionString).Database} WITH (FORCE)");
    }

    public static void Execute(string connectionString, string sql)
    {
        using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("FAIRLEAD_TEST_POSTGRES") is { Length: > 0 } given) return given;
        if (PrivatePostgres.FindBinaries() is null) return null;
        var own = PrivatePostgres.Start();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => own.Dispose();
        return own.ConnectionString;
    }
}

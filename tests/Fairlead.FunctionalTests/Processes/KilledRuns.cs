using System.Data.Common;
using Fairlead.Storage;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>
/// The runs that a killed process left in the queue. They are suspects afterwards. A suspect that is killed again while it runs alone
/// counts as the cause, so a test that kills at random waits until the suspects have run.
/// </summary>
internal sealed class KilledRuns(string folder, string? postgres)
{
    private readonly HashSet<string> _dead = new(StringComparer.Ordinal);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Called when the process is gone and before the next one starts.</summary>
    public async Task NoteAsync()
    {
        foreach (var owner in await ReadAsync("SELECT DISTINCT lease_owner FROM generations WHERE status = 'in_progress'")) _dead.Add(owner);
    }

    /// <summary>Returns when the next process has run what was under way.</summary>
    public async Task SettleAsync()
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var open = await ReadAsync("SELECT CASE WHEN suspicion <> 0 THEN '' ELSE lease_owner END FROM generations WHERE status = 'in_progress' OR (status = 'queued' AND suspicion <> 0)");
            if (!open.Exists(owner => owner.Length == 0 || _dead.Contains(owner))) return;
            Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(120), "What a killed process ran is still not run.");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }
    }

    private async Task<List<string>> ReadAsync(string sql)
    {
        await using DbConnection connection = postgres is null
            ? new SqliteConnection($"Data Source={Path.Combine(folder, "data", "fairlead.db")};Pooling=False")
            : new NpgsqlConnection(new NpgsqlConnectionStringBuilder(PostgresConnectionString.Parse(postgres)!.ConnectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Of this test.
        command.CommandText = sql;
#pragma warning restore CA2100
        var rows = new List<string>();
        await using var reader = await command.ExecuteReaderAsync(Cancel);
        while (await reader.ReadAsync(Cancel)) rows.Add(reader.IsDBNull(0) ? "" : reader.GetString(0));
        return rows;
    }
}

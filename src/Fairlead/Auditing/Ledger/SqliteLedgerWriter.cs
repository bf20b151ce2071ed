using Fairlead.Storage;
using Microsoft.Data.Sqlite;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// What is special about a batch in SQLite: how its transaction starts, and how sums are added.
/// </summary>
internal static class SqliteLedgerWriter
{
    private const string AddToHour = """
        INSERT INTO usage_hours (project_id, key_id, hour, model, outcome, class, organization_id, requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (project_id, key_id, hour, model, outcome, class) DO UPDATE SET
            requests = requests + excluded.requests,
            input_tokens = input_tokens + excluded.input_tokens,
            cached_input_tokens = cached_input_tokens + excluded.cached_input_tokens,
            cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
            output_tokens = output_tokens + excluded.output_tokens,
            reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
            cost_pico_usd = MIN(cost_pico_usd + excluded.cost_pico_usd, 9223372036854775807)
        """;

    private const string AddToDay = $"""
        INSERT INTO reconciliation_days (day, provider, model, cause, {ReconciliationDays.SumColumns})
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (day, provider, model, cause) DO UPDATE SET
            attempts = attempts + excluded.attempts,
            input_tokens = input_tokens + excluded.input_tokens,
            cached_input_tokens = cached_input_tokens + excluded.cached_input_tokens,
            cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
            output_tokens = output_tokens + excluded.output_tokens,
            reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
            cost_pico_usd = MIN(cost_pico_usd + excluded.cost_pico_usd, 9223372036854775807),
            reported_input_tokens = reported_input_tokens + excluded.reported_input_tokens,
            reported_cached_input_tokens = reported_cached_input_tokens + excluded.reported_cached_input_tokens,
            reported_cache_write_tokens = reported_cache_write_tokens + excluded.reported_cache_write_tokens,
            reported_output_tokens = reported_output_tokens + excluded.reported_output_tokens,
            reported_reasoning_tokens = reported_reasoning_tokens + excluded.reported_reasoning_tokens,
            reported_cost_pico_usd = MIN(reported_cost_pico_usd + excluded.reported_cost_pico_usd, 9223372036854775807)
        """;

    // Changes nothing, but marks a page as changed. A commit without one, also after an UPDATE to the same values, would not flush the log.
    private const string Touch = """
        INSERT INTO spool_positions (node, segment, at_byte) VALUES ('', 0, 0) ON CONFLICT (node) DO NOTHING;
        DELETE FROM spool_positions WHERE node = ''
        """;

    /// <summary>
    /// Opens a connection for a batch, with settings that are only its own, and starts its transaction. Disposing it returns the connection
    /// with the settings of all others.
    /// </summary>
    /// <param name="storage">The database.</param>
    /// <param name="isFlushed">Whether the commit waits for the disk.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public static async Task<LedgerTransaction> BeginAsync(IStorage storage, bool isFlushed, CancellationToken cancellationToken)
    {
        var connection = (SqliteConnection)await storage.OpenAsync(cancellationToken);
        try
        {
            await TuneAsync(connection, isFlushed ? Synced : Relaxed, cancellationToken);
            // Takes the write lock at once; the rest uses only memory and the database's log.
            return new LedgerTransaction(connection, connection.BeginTransaction(), () => TuneAsync(connection, Strict, CancellationToken.None));
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    public static void WriteSums(SqliteConnection connection, LedgerSums sums)
    {
        WriteHours(connection, sums.Hours);
        WriteDays(connection, sums.Days);
    }

    /// <summary>Flushes all that was committed before to the disk: a flush of the database's log includes its earlier commits.</summary>
    public static async Task SyncAsync(IStorage storage, CancellationToken cancellationToken)
    {
        await using var connection = (SqliteConnection)await storage.OpenAsync(cancellationToken);
        await TuneAsync(connection, Synced, cancellationToken);
        try
        {
            await using var transaction = connection.BeginTransaction();
            await connection.ExecuteAsync(Touch, [], cancellationToken);
            await transaction.CommitAsync(cancellationToken);
        }
        finally
        {
            await TuneAsync(connection, Strict, CancellationToken.None);
        }
    }

    /// <summary>
    /// A commit need not wait for the disk (NORMAL: only checkpoints do). After a crash of the process nothing is missing. After a power
    /// failure the last batches may be, so with <see cref="AuditDurability.Fsync"/> the spool keeps their records until
    /// <see cref="SyncAsync"/>. Checkpoints may be rare (every 32 MB), because each copies the hot ends of the indexes again. The cache
    /// (16 MB) holds a whole batch, which would otherwise be written before its commit and read back. Together that saves a third of the
    /// shipper's processor time.
    /// </summary>
    private const string Relaxed = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 2000; PRAGMA cache_size = -16000";

    /// <summary>For <see cref="SyncAsync"/>: its commit waits for the disk; checkpoints are as rare as those of the batches.</summary>
    private const string Synced = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000";

    private const string Strict = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 250; PRAGMA cache_size = -2000";

    private static Task<int> TuneAsync(SqliteConnection connection, string settings, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(settings, [], cancellationToken);

    private static void WriteHours(SqliteConnection connection, IReadOnlyCollection<HourSums> hours)
    {
        if (hours.Count == 0) return;
        using var statement = new SqliteStatement(connection, AddToHour);
        foreach (var sums in hours)
        {
            var key = sums.Key;
            statement.Bind(key.ProjectId).Bind(key.KeyId).Bind(key.Hour).Bind(key.Model).Bind(key.Outcome).Bind(key.Class)
                .Bind(sums.OrganizationId)
                .Bind(sums.Requests).Bind(sums.InputTokens).Bind(sums.CachedInputTokens).Bind(sums.CacheWriteTokens).Bind(sums.OutputTokens)
                .Bind(sums.ReasoningTokens).Bind(sums.CostPicoUsd).Run();
        }
    }

    private static void WriteDays(SqliteConnection connection, ReconciliationDays days)
    {
        if (days.Count == 0) return;
        using var statement = new SqliteStatement(connection, AddToDay);
        foreach (var day in days.InOrder)
        {
            statement.Bind(day.Day).Bind(day.Provider).Bind(day.Model).Bind(day.Cause);
            foreach (var value in day.Values) statement.Bind(value);
            statement.Run();
        }
    }
}

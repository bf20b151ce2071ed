using System.Text;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Microsoft.Data.Sqlite;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Writes calls into the database: records, entries, hourly sums and the position in the spool, all in one transaction. An existing
/// record or entry is unchanged and not summed again, so writing the same calls twice changes nothing.
/// </summary>
internal static class SqliteLedgerWriter
{
    private const string InsertRecord = """
        INSERT INTO audit_calls (id, node, sequence, at, organization, project, key, request_id, model, outcome, record)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
        """;

    private const string InsertEntry = """
        INSERT INTO ledger_attempts (call, number, provider, deployment, upstream_model, outcome,
            input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, basis, cost_pico_usd)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (call, number) DO NOTHING
        """;

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

    // Never backwards: a process that reads the start of a spool again must not reset the position.
    private const string SetPosition = """
        INSERT INTO spool_positions (node, segment, at_byte) VALUES (?, ?, ?)
        ON CONFLICT (node) DO UPDATE SET segment = excluded.segment, at_byte = excluded.at_byte
        WHERE (excluded.segment, excluded.at_byte) > (segment, at_byte)
        """;

    public static async Task WriteAsync(IStorage storage, LedgerNames names, string node, IReadOnlyList<ShippedCall> calls,
        SpoolPosition position, ILedgerFollower? follower, ILedgerWatcher? watcher, CancellationToken cancellationToken)
    {
        await using var connection = (SqliteConnection)await storage.OpenAsync(cancellationToken);
        await TuneAsync(connection, Relaxed, cancellationToken);
        try
        {
            // Takes the write lock at once; the rest uses only memory and the database's log.
            await using var transaction = connection.BeginTransaction();
            var hours = Write(connection, names, node, calls, position);
            if (watcher is not null && HourSums.UsageOf(hours) is { Count: > 0 } added)
                await watcher.AddedAsync(connection, transaction, added, cancellationToken);
            // Last: it notes in memory what the leases do not pay for, and a failure of anything after it would not undo that.
            if (follower is not null && HourSums.UsageHere(hours) is { Count: > 0 } usage)
                await follower.SettleAsync(connection, usage, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            names.Committed();
        }
        finally
        {
            names.Ended();
            // The connection returns to a pool whose other users must wait for the disk when they commit.
            await TuneAsync(connection, Strict, CancellationToken.None);
        }
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

    private static Dictionary<HourKey, HourSums>.ValueCollection Write(SqliteConnection connection, LedgerNames names, string node,
        IReadOnlyList<ShippedCall> calls, SpoolPosition position)
    {
        var hours = new Dictionary<HourKey, HourSums>();
        var days = new ReconciliationDays();
        using (var numbers = names.Begin(connection))
        using (var records = new SqliteStatement(connection, InsertRecord))
        using (var entries = new SqliteStatement(connection, InsertEntry))
        {
            var nodeNumber = numbers.Of(Encoding.UTF8.GetBytes(node));
            foreach (var call in calls)
            {
                records.Bind(call.Id).Bind(nodeNumber).Bind(call.Sequence).Bind(call.At)
                    .Bind(numbers.Of(call.OrganizationId)).Bind(numbers.Of(call.ProjectId)).Bind(numbers.Of(call.KeyId));
                if (call.HasItsOwnRequestId) records.BindNull();
                else records.Bind(call.RequestId);
                Name(records, numbers, call.Model).Bind(numbers.Of(call.Outcome)).Bind(call.Record);
                // An existing one already has its attempts and is already part of the sums.
                if (records.Run() == 0) continue;
                var number = records.LastNumber;
                HourSums? sums = null;
                if (call.Counts) (sums = SumsOf(hours, call)).Requests++;
                foreach (var attempt in call.Attempts)
                {
                    entries.Bind(number).Bind(attempt.Number).Bind(numbers.Of(attempt.Provider)).Bind(numbers.Of(attempt.Deployment))
                        .Bind(numbers.Of(attempt.UpstreamModel));
                    Name(entries, numbers, attempt.Outcome)
                        .Bind(attempt.InputTokens).Bind(attempt.CachedInputTokens).Bind(attempt.CacheWriteTokens)
                        .Bind(attempt.OutputTokens).Bind(attempt.ReasoningTokens)
                        .Bind(numbers.Of(attempt.Basis)).Bind(attempt.CostPicoUsd);
                    if (entries.Run() == 0) continue;
                    (sums ??= SumsOf(hours, call)).Add(call, attempt);
                    days.Add(call, attempt);
                }
            }
        }
        WriteHours(connection, hours);
        WriteDays(connection, days);
        using var place = new SqliteStatement(connection, SetPosition);
        place.Bind(node).Bind(position.Segment).Bind(position.Offset).Run();
        return hours.Values;
    }

    private static SqliteStatement Name(SqliteStatement statement, LedgerNames.Numbers numbers, ReadOnlyMemory<byte>? name) =>
        name is { } value ? statement.Bind(numbers.Of(value)) : statement.BindNull();

    private static HourSums SumsOf(Dictionary<HourKey, HourSums> hours, ShippedCall call)
    {
        var key = new HourKey(Encoding.UTF8.GetString(call.ProjectId.Span), Encoding.UTF8.GetString(call.KeyId.Span),
            HourSums.HourOf(call.At), call.Model is { } model ? Encoding.UTF8.GetString(model.Span) : "",
            Encoding.UTF8.GetString(call.Outcome.Span), Encoding.UTF8.GetString(call.Class.Span));
        if (hours.TryGetValue(key, out var sums)) return sums;
        return hours[key] = new HourSums(key, Encoding.UTF8.GetString(call.OrganizationId.Span));
    }

    private static void WriteHours(SqliteConnection connection, Dictionary<HourKey, HourSums> hours)
    {
        if (hours.Count == 0) return;
        using var statement = new SqliteStatement(connection, AddToHour);
        foreach (var (key, sums) in hours)
        {
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

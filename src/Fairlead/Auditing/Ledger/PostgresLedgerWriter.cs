using System.Globalization;
using System.Text;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Npgsql;
using NpgsqlTypes;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Writes calls into PostgreSQL: records, entries, hourly sums and the position in the spool, all in one transaction of two round trips,
/// each column of a batch as one array. An existing record or entry is unchanged and not summed again.
/// </summary>
internal static class PostgresLedgerWriter
{
    private const string InsertRecords = """
        INSERT INTO audit_records (id, node, sequence, at, organization_id, project_id, key_id, request_id, model, outcome, record)
        SELECT id, @node, sequence, at, organization_id, project_id, key_id, request_id, model, outcome, record
        FROM unnest(@id, @sequence, @at, @organization_id, @project_id, @key_id, @request_id, @model, @outcome, @record)
            WITH ORDINALITY AS call (id, sequence, at, organization_id, project_id, key_id, request_id, model, outcome, record, place)
        ORDER BY place
        ON CONFLICT (id) DO NOTHING RETURNING id
        """;

    private const string InsertEntries = """
        INSERT INTO ledger_entries (attempt_id, generation_id, number, at, organization_id, project_id, key_id, model, provider, deployment, upstream_model, outcome,
            input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, basis, cost_pico_usd)
        SELECT * FROM unnest(@attempt_id, @generation_id, @number, @at, @organization_id, @project_id, @key_id, @model, @provider, @deployment, @upstream_model, @outcome,
            @input_tokens, @cached_input_tokens, @cache_write_tokens, @output_tokens, @reasoning_tokens, @basis, @cost_pico_usd)
        ON CONFLICT (attempt_id) DO NOTHING RETURNING attempt_id
        """;

    // In the order of the primary key: two nodes that add to the same hours then wait for each other and never deadlock.
    private const string AddToHours = """
        INSERT INTO usage_hours (project_id, key_id, hour, model, outcome, class, organization_id, requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd)
        SELECT * FROM unnest(@project_id, @key_id, @hour, @model, @outcome, @class, @organization_id, @requests, @input_tokens, @cached_input_tokens, @cache_write_tokens, @output_tokens, @reasoning_tokens, @cost_pico_usd)
            AS sums (project_id, key_id, hour, model, outcome, class)
        ORDER BY project_id COLLATE "C", key_id COLLATE "C", hour, model COLLATE "C", outcome COLLATE "C", class COLLATE "C"
        ON CONFLICT (project_id, key_id, hour, model, outcome, class) DO UPDATE SET
            requests = usage_hours.requests + excluded.requests,
            input_tokens = usage_hours.input_tokens + excluded.input_tokens,
            cached_input_tokens = usage_hours.cached_input_tokens + excluded.cached_input_tokens,
            cache_write_tokens = usage_hours.cache_write_tokens + excluded.cache_write_tokens,
            output_tokens = usage_hours.output_tokens + excluded.output_tokens,
            reasoning_tokens = usage_hours.reasoning_tokens + excluded.reasoning_tokens,
            cost_pico_usd = LEAST(usage_hours.cost_pico_usd::numeric + excluded.cost_pico_usd, 9223372036854775807)::bigint
        """;

    // Locks rows in the order of the primary key, as above.
    private const string AddToDays = $"""
        INSERT INTO reconciliation_days (day, provider, model, cause, {ReconciliationDays.SumColumns})
        SELECT * FROM unnest(@day, @provider, @model, @cause, @v0, @v1, @v2, @v3, @v4, @v5, @v6, @v7, @v8, @v9, @v10, @v11, @v12)
            AS sums (day, provider, model, cause)
        ORDER BY day, provider COLLATE "C", model COLLATE "C", cause COLLATE "C"
        ON CONFLICT (day, provider, model, cause) DO UPDATE SET
            attempts = reconciliation_days.attempts + excluded.attempts,
            input_tokens = reconciliation_days.input_tokens + excluded.input_tokens,
            cached_input_tokens = reconciliation_days.cached_input_tokens + excluded.cached_input_tokens,
            cache_write_tokens = reconciliation_days.cache_write_tokens + excluded.cache_write_tokens,
            output_tokens = reconciliation_days.output_tokens + excluded.output_tokens,
            reasoning_tokens = reconciliation_days.reasoning_tokens + excluded.reasoning_tokens,
            cost_pico_usd = LEAST(reconciliation_days.cost_pico_usd::numeric + excluded.cost_pico_usd, 9223372036854775807)::bigint,
            reported_input_tokens = reconciliation_days.reported_input_tokens + excluded.reported_input_tokens,
            reported_cached_input_tokens = reconciliation_days.reported_cached_input_tokens + excluded.reported_cached_input_tokens,
            reported_cache_write_tokens = reconciliation_days.reported_cache_write_tokens + excluded.reported_cache_write_tokens,
            reported_output_tokens = reconciliation_days.reported_output_tokens + excluded.reported_output_tokens,
            reported_reasoning_tokens = reconciliation_days.reported_reasoning_tokens + excluded.reported_reasoning_tokens,
            reported_cost_pico_usd =
                LEAST(reconciliation_days.reported_cost_pico_usd::numeric + excluded.reported_cost_pico_usd, 9223372036854775807)::bigint
        """;

    // Never backwards: a process that reads the start of a spool again must not reset the position.
    private const string SetPosition = """
        INSERT INTO spool_positions (node, segment, at_byte) VALUES (@node, @segment, @at_byte)
        ON CONFLICT (node) DO UPDATE SET segment = excluded.segment, at_byte = excluded.at_byte
        WHERE (excluded.segment, excluded.at_byte) > (spool_positions.segment, spool_positions.at_byte)
        """;

    public static Task WriteAsync(IStorage storage, string node, IReadOnlyList<ShippedCall> calls, SpoolPosition position,
        ILedgerFollower? follower, ILedgerWatcher? watcher, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = (NpgsqlConnection)await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var (records, entries) = await InsertAsync(connection, node, calls, cancellationToken);
        var days = new ReconciliationDays();
        var hours = Sum(calls, records, entries, days);
        await using (var batch = new NpgsqlBatch(connection))
        {
            // In the order in which every node locks them.
            if (hours.Count > 0)
            {
                batch.BatchCommands.Add(
                    HoursOf([.. hours.Values.OrderBy(row => row.Key.ProjectId, StringComparer.Ordinal)
                    .ThenBy(row => row.Key.KeyId, StringComparer.Ordinal).ThenBy(row => row.Key.Hour)
                    .ThenBy(row => row.Key.Model, StringComparer.Ordinal).ThenBy(row => row.Key.Outcome, StringComparer.Ordinal)
                    .ThenBy(row => row.Key.Class, StringComparer.Ordinal)]));
            }

            if (days.Count > 0) batch.BatchCommands.Add(DaysOf([.. days.InOrder]));

            batch.BatchCommands.Add(new NpgsqlBatchCommand(SetPosition)
            {
                Parameters = { new("node", node), new("segment", position.Segment), new("at_byte", (long)position.Offset) },
            });
            await batch.ExecuteNonQueryAsync(cancellationToken);
        }
        if (watcher is not null && HourSums.UsageOf(hours.Values) is { Count: > 0 } added)
            await watcher.AddedAsync(connection, transaction, added, cancellationToken);
        // Last: it notes in memory what the leases do not pay for, and a failure of anything after it would not undo that.
        if (follower is not null && HourSums.UsageHere(hours.Values) is { Count: > 0 } usage)
            await follower.SettleAsync(connection, usage, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    });

    /// <summary>The ids of the records and of the entries that were not there before.</summary>
    private static async Task<(HashSet<string> Records, HashSet<string> Entries)> InsertAsync(NpgsqlConnection connection, string node,
        IReadOnlyList<ShippedCall> calls, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(RecordsOf(node, calls));
        var attempts = calls.SelectMany(call => call.Attempts.Select(attempt => (Call: call, Attempt: attempt))).ToArray();
        if (attempts.Length > 0) batch.BatchCommands.Add(EntriesOf(attempts));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var records = await IdsAsync(reader, cancellationToken);
        var entries = await reader.NextResultAsync(cancellationToken) ? await IdsAsync(reader, cancellationToken) : [];
        return (records, entries);
    }

    private static async Task<HashSet<string>> IdsAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        var ids = new HashSet<string>(StringComparer.Ordinal);
        while (await reader.ReadAsync(cancellationToken)) ids.Add(reader.GetString(0));
        return ids;
    }

    private static Dictionary<HourKey, HourSums> Sum(
        IReadOnlyList<ShippedCall> calls, HashSet<string> records, HashSet<string> entries, ReconciliationDays days)
    {
        var hours = new Dictionary<HourKey, HourSums>();
        foreach (var call in calls)
        {
            HourSums? sums = null;
            // Removed, because a batch may contain a call twice.
            if (records.Remove(Text(call.Id)) && call.Counts) (sums = SumsOf(call)).Requests++;
            foreach (var attempt in call.Attempts)
            {
                if (!entries.Remove(Text(attempt.Id))) continue;
                (sums ??= SumsOf(call)).Add(call, attempt);
                days.Add(call, attempt, SqlFlavour.Postgres.Storable);
            }
        }
        return hours;

        HourSums SumsOf(ShippedCall call)
        {
            var key = new HourKey(Text(call.ProjectId), Text(call.KeyId), HourSums.HourOf(call.At),
                call.Model is { } model ? Text(model) : "", Text(call.Outcome), Text(call.Class));
            if (!hours.TryGetValue(key, out var sums)) hours[key] = sums = new HourSums(key, Text(call.OrganizationId));
            return sums;
        }
    }

    private static NpgsqlBatchCommand RecordsOf(string node, IReadOnlyList<ShippedCall> calls) => new(InsertRecords)
    {
        Parameters =
        {
            new("node", node), Texts("id", calls, call => call.Id), Numbers("sequence", calls, call => call.Sequence),
                Numbers("at", calls, call => call.At),
            Texts("organization_id", calls, call => call.OrganizationId), Texts("project_id", calls, call => call.ProjectId),
                Texts("key_id", calls, call => call.KeyId),
            Texts("request_id", calls, call => call.RequestId), Texts("model", calls, call => call.Model),
                Texts("outcome", calls, call => call.Outcome), Texts("record", calls, call => call.Record),
        },
    };

    private static NpgsqlBatchCommand EntriesOf(IReadOnlyList<(ShippedCall Call, ShippedAttempt Attempt)> attempts) => new(InsertEntries)
    {
        Parameters =
        {
            Texts("attempt_id", attempts, row => row.Attempt.Id), Texts("generation_id", attempts, row => row.Call.GenerationId),
                Numbers("number", attempts, row => row.Attempt.Number),
            Numbers("at", attempts, row => row.Call.At), Texts("organization_id", attempts, row => row.Call.OrganizationId),
                Texts("project_id", attempts, row => row.Call.ProjectId),
            Texts("key_id", attempts, row => row.Call.KeyId), Texts("model", attempts, row => row.Call.Model),
                Texts("provider", attempts, row => row.Attempt.Provider),
            Texts("deployment", attempts, row => row.Attempt.Deployment),
                Texts("upstream_model", attempts, row => row.Attempt.UpstreamModel), Texts("outcome", attempts, row => row.Attempt.Outcome),
            Numbers("input_tokens", attempts, row => row.Attempt.InputTokens),
                Numbers("cached_input_tokens", attempts, row => row.Attempt.CachedInputTokens),
            Numbers("cache_write_tokens", attempts, row => row.Attempt.CacheWriteTokens),
                Numbers("output_tokens", attempts, row => row.Attempt.OutputTokens),
            Numbers("reasoning_tokens", attempts, row => row.Attempt.ReasoningTokens), Texts("basis", attempts, row => row.Attempt.Basis),
                Numbers("cost_pico_usd", attempts, row => row.Attempt.CostPicoUsd),
        },
    };

    private static NpgsqlBatchCommand HoursOf(IReadOnlyList<HourSums> hours) => new(AddToHours)
    {
        Parameters =
        {
            Strings("project_id", hours, row => row.Key.ProjectId), Strings("key_id", hours, row => row.Key.KeyId),
                Numbers("hour", hours, row => row.Key.Hour), Strings("model", hours, row => row.Key.Model),
            Strings("outcome", hours, row => row.Key.Outcome), Strings("class", hours, row => row.Key.Class),
                Strings("organization_id", hours, row => row.OrganizationId),
                Numbers("requests", hours, row => row.Requests),
            Numbers("input_tokens", hours, row => row.InputTokens), Numbers("cached_input_tokens", hours, row => row.CachedInputTokens),
                Numbers("cache_write_tokens", hours, row => row.CacheWriteTokens),
            Numbers("output_tokens", hours, row => row.OutputTokens), Numbers("reasoning_tokens", hours, row => row.ReasoningTokens),
                Numbers("cost_pico_usd", hours, row => row.CostPicoUsd),
        },
    };

    private static NpgsqlBatchCommand DaysOf(IReadOnlyList<ReconciliationDay> days)
    {
        var command = new NpgsqlBatchCommand(AddToDays)
        {
            Parameters =
            {
                Numbers("day", days, row => row.Day), Strings("provider", days, row => row.Provider),
                    Strings("model", days, row => row.Model), Strings("cause", days, row => row.Cause),
            },
        };
        for (var i = 0; i < ReconciliationDay.ValueCount; i++)
        {
            var column = i;
            command.Parameters.Add(Numbers(string.Create(CultureInfo.InvariantCulture, $"v{i}"), days, row => row.Values[column]));
        }
        return command;
    }

    private static NpgsqlParameter Texts<T>(string name, IReadOnlyList<T> rows, Func<T, ReadOnlyMemory<byte>?> value) =>
        Strings(name, rows, row => value(row) is { } text ? Text(text) : null);

    private static NpgsqlParameter Strings<T>(string name, IReadOnlyList<T> rows, Func<T, string?> value) =>
        new(name, NpgsqlDbType.Array | NpgsqlDbType.Text) { Value = Array(rows, value) };

    private static NpgsqlParameter Numbers<T>(string name, IReadOnlyList<T> rows, Func<T, long> value) =>
        new(name, NpgsqlDbType.Array | NpgsqlDbType.Bigint) { Value = Array(rows, value) };

    private static TValue[] Array<T, TValue>(IReadOnlyList<T> rows, Func<T, TValue> value)
    {
        var values = new TValue[rows.Count];
        for (var i = 0; i < values.Length; i++) values[i] = value(rows[i]);
        return values;
    }

    private static string Text(ReadOnlyMemory<byte> utf8) => SqlFlavour.Postgres.Storable(Encoding.UTF8.GetString(utf8.Span));
}

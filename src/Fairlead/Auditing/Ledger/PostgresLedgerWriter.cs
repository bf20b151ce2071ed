using System.Globalization;
using Npgsql;
using NpgsqlTypes;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Adds the sums of a batch in PostgreSQL: each column as one array.
/// </summary>
internal static class PostgresLedgerWriter
{
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

    /// <summary>Adds the sums in one round trip.</summary>
    public static async Task WriteSumsAsync(NpgsqlConnection connection, LedgerSums sums, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        // In the order in which every node locks them.
        if (sums.Hours.Count > 0) batch.BatchCommands.Add(HoursOf([.. sums.HoursInOrder]));
        if (sums.Days.Count > 0) batch.BatchCommands.Add(DaysOf([.. sums.Days.InOrder]));
        if (batch.BatchCommands.Count > 0) await batch.ExecuteNonQueryAsync(cancellationToken);
    }

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
}

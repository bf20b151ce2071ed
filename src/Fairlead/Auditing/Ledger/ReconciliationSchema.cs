using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Daily sums of what providers reported and of what was charged. They are kept like the hourly sums of usage, when the records have been
/// deleted. Attempts from before this step are summed too: what their providers reported is only known where it was charged.
/// </summary>
internal sealed class ReconciliationSchema : ISchemaStep
{
    public int Version => 103;

    public string Name => "daily sums of reported and charged usage";

    // The cause is empty for attempts whose provider's count was charged. An amount above a thousand dollars is a broken provider's, and would
    // make the sum overflow.
    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE reconciliation_days (
            day BIGINT NOT NULL,
            provider {sql.Text} NOT NULL,
            model {sql.Text} NOT NULL,
            cause {sql.Text} NOT NULL,
            attempts BIGINT NOT NULL,
            input_tokens BIGINT NOT NULL,
            cached_input_tokens BIGINT NOT NULL,
            cache_write_tokens BIGINT NOT NULL,
            output_tokens BIGINT NOT NULL,
            reasoning_tokens BIGINT NOT NULL,
            cost_pico_usd BIGINT NOT NULL,
            reported_input_tokens BIGINT NOT NULL,
            reported_cached_input_tokens BIGINT NOT NULL,
            reported_cache_write_tokens BIGINT NOT NULL,
            reported_output_tokens BIGINT NOT NULL,
            reported_reasoning_tokens BIGINT NOT NULL,
            reported_cost_pico_usd BIGINT NOT NULL,
            PRIMARY KEY (day, provider, model, cause)
        ){sql.Keyed};
        INSERT INTO reconciliation_days
            SELECT day, provider, upstream_model, cause, COUNT(*),
                CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(cached_input_tokens) AS BIGINT), CAST(SUM(cache_write_tokens) AS BIGINT),
                CAST(SUM(output_tokens) AS BIGINT), CAST(SUM(reasoning_tokens) AS BIGINT), CAST(SUM(cost) AS BIGINT),
                CAST(SUM(known * input_tokens) AS BIGINT), CAST(SUM(known * cached_input_tokens) AS BIGINT),
                CAST(SUM(known * cache_write_tokens) AS BIGINT), CAST(SUM(known * output_tokens) AS BIGINT),
                CAST(SUM(known * reasoning_tokens) AS BIGINT), CAST(SUM(known * cost) AS BIGINT)
            FROM (
                SELECT at / {ReconciliationDays.MillisecondsPerDay} * {ReconciliationDays.MillisecondsPerDay} AS day, provider, upstream_model,
                    input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
                    CASE WHEN cost_pico_usd > 1000000000000000 THEN 1000000000000000 ELSE cost_pico_usd END AS cost,
                    CASE WHEN basis = 'measured' THEN 1 ELSE 0 END AS known,
                    CASE WHEN basis = 'measured' THEN ''
                        WHEN number < MAX(number) OVER (PARTITION BY generation_id) THEN 'retried'
                        WHEN outcome IN ('complete', 'length', 'tool_calls', 'content_filter', 'invalid_output') THEN 'estimated'
                        ELSE 'cut' END AS cause
                FROM ledger_entries
                WHERE input_tokens > 0 OR output_tokens > 0) AS attempts
            GROUP BY day, provider, upstream_model, cause;
        """;
}

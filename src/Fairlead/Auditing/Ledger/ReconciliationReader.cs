using System.Text;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>Tokens by kind and their cost.</summary>
internal readonly record struct ReconciledUsage(
    long InputTokens, long CachedInputTokens, long CacheWriteTokens, long OutputTokens, long ReasoningTokens, decimal CostUsd)
{
    public static ReconciledUsage operator +(ReconciledUsage left, ReconciledUsage right) => new(
        left.InputTokens + right.InputTokens, left.CachedInputTokens + right.CachedInputTokens,
        left.CacheWriteTokens + right.CacheWriteTokens, left.OutputTokens + right.OutputTokens,
        left.ReasoningTokens + right.ReasoningTokens, left.CostUsd + right.CostUsd);

    public static ReconciledUsage operator -(ReconciledUsage left, ReconciledUsage right) => new(
        left.InputTokens - right.InputTokens, left.CachedInputTokens - right.CachedInputTokens,
        left.CacheWriteTokens - right.CacheWriteTokens, left.OutputTokens - right.OutputTokens,
        left.ReasoningTokens - right.ReasoningTokens, left.CostUsd - right.CostUsd);
}

/// <summary>The part of a line that has one cause.</summary>
/// <param name="Cause">One of <see cref="Records.ChargeDifference"/>; empty where the provider's count was charged.</param>
internal sealed record ReconciliationPart(string Cause, long Attempts, ReconciledUsage Reported, ReconciledUsage Charged);

/// <summary>All attempts of one day at one upstream model of one provider.</summary>
internal sealed record ReconciliationLine(DateTimeOffset Day, string Provider, string Model, IReadOnlyList<ReconciliationPart> Parts);

/// <param name="Lines">At most the limit, in the order of day, provider and model.</param>
/// <param name="Next">Where the next page starts, or null at the end.</param>
internal sealed record ReconciliationPage(IReadOnlyList<ReconciliationLine> Lines, ReconciliationCursor? Next);

/// <summary>Compares what providers reported with what was charged, from the daily sums.</summary>
internal sealed class ReconciliationReader(IStorage storage)
{
    /// <summary>Rows of one line: the three causes and none.</summary>
    private const int MaxParts = 4;

    public async Task<ReconciliationPage> ReadAsync(ReconciliationQuery query, CancellationToken cancellationToken)
    {
        var sql = new StringBuilder("SELECT day, provider, model, cause, ").Append(ReconciliationDays.SumColumns)
            .Append(" FROM reconciliation_days WHERE day >= @from AND day < @to");
        List<(string Name, SqlValue Value)> values = [("@from", query.From), ("@to", query.To)];
        if (query.Provider is { } provider) Where(" AND provider = @provider", "@provider", provider);
        if (query.Model is { } model) Where(" AND model = @model", "@model", model);
        if (query.After is { } after)
        {
            Where(" AND (day, provider, model) > (@after_day, @after_provider, @after_model)", "@after_day", after.Day);
            values.Add(("@after_provider", after.Provider));
            values.Add(("@after_model", after.Model));
        }
        // As many rows as one line more than the page can have.
        sql.Append(" ORDER BY day, provider, model, cause LIMIT ").Append(MaxParts * (query.Limit + 1));

        await using var connection = await storage.OpenAsync(cancellationToken);
        var rows = await connection.QueryAsync(
            sql.ToString(), [.. values],
            row => (Key: new ReconciliationCursor(row.Int64("day"), row.Text("provider"), row.Text("model")), Part: ReadPart(row)),
            cancellationToken);
        var lines = rows.GroupBy(row => row.Key, row => row.Part).Take(query.Limit + 1).ToArray();
        var page = lines.Take(query.Limit).Select(line => new ReconciliationLine(
            DateTimeOffset.FromUnixTimeMilliseconds(line.Key.Day), line.Key.Provider, line.Key.Model, [.. line])).ToArray();
        return new ReconciliationPage(page, lines.Length > query.Limit ? lines[query.Limit - 1].Key : null);

        void Where(string condition, string name, SqlValue value)
        {
            sql.Append(condition);
            values.Add((name, value));
        }
    }

    private static ReconciliationPart ReadPart(SqlRow row) =>
        new(row.Text("cause"), row.Int64("attempts"), ReadUsage(row, "reported_"), ReadUsage(row, ""));

    private static ReconciledUsage ReadUsage(SqlRow row, string prefix) => new(
        row.Int64(prefix + "input_tokens"), row.Int64(prefix + "cached_input_tokens"), row.Int64(prefix + "cache_write_tokens"),
        row.Int64(prefix + "output_tokens"), row.Int64(prefix + "reasoning_tokens"), Money.FromPico(row.Int64(prefix + "cost_pico_usd")));
}

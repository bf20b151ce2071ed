using System.Globalization;
using System.Text;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>The sums of one group.</summary>
/// <param name="From">The first moment.</param>
/// <param name="To">The first moment after it.</param>
/// <param name="Group">The value of each grouping that is no span of time; null for the outcome of calls that have not ended.</param>
internal sealed record UsageRow(DateTimeOffset From, DateTimeOffset To, IReadOnlyList<string?> Group)
{
    public long Requests { get; init; }

    public long InputTokens { get; init; }

    public long CachedInputTokens { get; init; }

    public long CacheWriteTokens { get; init; }

    public long OutputTokens { get; init; }

    public long ReasoningTokens { get; init; }

    public decimal CostUsd { get; init; }

    /// <summary>What running calls and accepted jobs hold now; null if the row does not show it.</summary>
    public decimal? ReservedUsd { get; init; }

    public UsageRow Plus(UsageRow other) => this with
    {
        Requests = Requests + other.Requests,
        InputTokens = InputTokens + other.InputTokens,
        CachedInputTokens = CachedInputTokens + other.CachedInputTokens,
        CacheWriteTokens = CacheWriteTokens + other.CacheWriteTokens,
        OutputTokens = OutputTokens + other.OutputTokens,
        ReasoningTokens = ReasoningTokens + other.ReasoningTokens,
        CostUsd = CostUsd + other.CostUsd,
        ReservedUsd = other.ReservedUsd is { } reserved ? (ReservedUsd ?? 0) + reserved : ReservedUsd,
    };
}

/// <summary>Sums usage from the hourly sums: the cost of a query grows with the hours and keys, not with the number of calls.</summary>
internal sealed class UsageReader(IStorage storage)
{
    internal const int MaxRows = 10_000;

    /// <summary>The sums in the order of their groups, or null when there are more than <see cref="MaxRows"/>.</summary>
    public async Task<IReadOnlyList<UsageRow>?> ReadAsync(UsageQuery query, CancellationToken cancellationToken)
    {
        // Spans of time first, so that rows are in the order of time.
        var groups = query.Groups.OrderBy(group => group.Member is null ? 0 : 1).ToArray();
        await using var connection = await storage.OpenAsync(cancellationToken);
        var sql = new StringBuilder("SELECT ");
        for (var i = 0; i < groups.Length; i++) sql.Append(CultureInfo.InvariantCulture, $"{groups[i].SqlFor(storage.Provider)} AS group_{i}, ");
        // Money in two parts, because a 64-bit sum of picodollars overflows at nine million dollars.
        sql.Append("""
            CAST(SUM(requests) AS BIGINT) AS requests, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens,
            CAST(SUM(cached_input_tokens) AS BIGINT) AS cached_input_tokens, CAST(SUM(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
            CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
            CAST(SUM(cost_pico_usd / 1000000000) AS BIGINT) AS cost_milli_usd, CAST(SUM(cost_pico_usd % 1000000000) AS BIGINT) AS rest_pico_usd,
            COUNT(*) AS hours FROM usage_hours
            """);
        if (storage.Provider == StorageProvider.Sqlite)
            sql.Append(query.ProjectId is not null ? " INDEXED BY usage_hours_by_project" : " INDEXED BY usage_hours_by_hour");
        sql.Append(" WHERE hour >= @from AND hour < @to");
        List<(string Name, SqlValue Value)> values = [("@from", query.From), ("@to", query.To)];
        Filter("organization_id", query.OrganizationId);
        Filter("project_id", query.ProjectId);
        Filter("key_id", query.KeyId);
        Filter("model", query.Model);
        Filter("outcome", query.Outcome);
        if (groups.Length > 0)
        {
            var columns = string.Join(", ", Enumerable.Range(1, groups.Length));
            sql.Append(" GROUP BY ").Append(columns).Append(" ORDER BY ").Append(columns);
        }
        sql.Append(" LIMIT ").Append(MaxRows + 1);

        var rows = await connection.QueryAsync(sql.ToString(), [.. values], row => ReadOrNull(row, query, groups), cancellationToken);
        return rows.Count > MaxRows ? null : [.. rows.OfType<UsageRow>()];

        void Filter(string column, string? value)
        {
            if (value is null) return;
            sql.Append(" AND ").Append(column).Append(" = @").Append(column);
            values.Add(("@" + column, value));
        }
    }

    private static UsageRow? ReadOrNull(SqlRow row, UsageQuery query, UsageGroup[] groups)
    {
        // Without groups there is always one row; it counts no hours when nothing was found.
        if (row.Int64("hours") == 0) return null;
        var (from, to) = (query.From, query.To);
        var names = new List<string?>(groups.Length);
        for (var i = 0; i < groups.Length; i++)
        {
            var column = string.Create(CultureInfo.InvariantCulture, $"group_{i}");
            if (groups[i].Member is not null)
            {
                names.Add(row.Text(column));
                continue;
            }
            (from, to) = groups[i].Within(row.Time(column), query);
        }
        return new UsageRow(from, to, names)
        {
            Requests = row.Int64("requests"),
            InputTokens = row.Int64("input_tokens"),
            CachedInputTokens = row.Int64("cached_input_tokens"),
            CacheWriteTokens = row.Int64("cache_write_tokens"),
            OutputTokens = row.Int64("output_tokens"),
            ReasoningTokens = row.Int64("reasoning_tokens"),
            CostUsd = (row.Int64("cost_milli_usd") / 1000m) + Money.FromPico(row.Int64("rest_pico_usd")),
        };
    }
}

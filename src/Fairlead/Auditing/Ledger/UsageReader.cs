using System.Text;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>One line of sums.</summary>
internal sealed record UsageRow(DateTimeOffset From, DateTimeOffset To, IReadOnlyList<string> Group)
{
    public long Requests { get; init; }

    public long InputTokens { get; init; }

    public long CachedInputTokens { get; init; }

    public long CacheWriteTokens { get; init; }

    public long OutputTokens { get; init; }

    public long ReasoningTokens { get; init; }

    public decimal CostUsd { get; init; }

    public UsageRow Plus(UsageRow other) => this with
    {
        Requests = Requests + other.Requests,
        InputTokens = InputTokens + other.InputTokens,
        CachedInputTokens = CachedInputTokens + other.CachedInputTokens,
        CacheWriteTokens = CacheWriteTokens + other.CacheWriteTokens,
        OutputTokens = OutputTokens + other.OutputTokens,
        ReasoningTokens = ReasoningTokens + other.ReasoningTokens,
        CostUsd = CostUsd + other.CostUsd,
    };
}

/// <summary>Sums usage from the hourly sums, so that the cost follows the hours and keys asked for and not the number of calls.</summary>
internal sealed class UsageReader(IStorage storage)
{
    internal const int MostRows = 10_000;

    /// <summary>The lines in the order of their groups, or null when there are more than <see cref="MostRows"/>.</summary>
    public async Task<IReadOnlyList<UsageRow>?> ReadAsync(UsageQuery query, CancellationToken cancellationToken)
    {
        // Spans of time first, so that lines come in the order of time.
        var groups = query.Groups.OrderBy(group => group.Member is null ? 0 : 1).ToArray();
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        var sql = new StringBuilder("SELECT ");
        foreach (var group in groups) sql.Append(group.Sql).Append(", ");
        // Money in two parts, since a 64-bit sum of picodollars ends at nine million dollars.
        sql.Append("""
            CAST(SUM(requests) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(cached_input_tokens) AS BIGINT), CAST(SUM(cache_write_tokens) AS BIGINT),
            CAST(SUM(output_tokens) AS BIGINT), CAST(SUM(reasoning_tokens) AS BIGINT), CAST(SUM(cost_pico_usd / 1000000000) AS BIGINT), CAST(SUM(cost_pico_usd % 1000000000) AS BIGINT),
            COUNT(*) FROM usage_hours
            """);
        if (storage.Provider == StorageProvider.Sqlite) sql.Append(query.ProjectId is not null ? " INDEXED BY usage_hours_by_project" : " INDEXED BY usage_hours_by_hour");
        sql.Append(" WHERE hour >= @from AND hour < @to");
        command.AddParameter("@from", query.From.ToUnixTimeMilliseconds());
        command.AddParameter("@to", query.To.ToUnixTimeMilliseconds());
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
        sql.Append(" LIMIT ").Append(MostRows + 1);
#pragma warning disable CA2100 // Made of the constants above; every value is a parameter.
        command.CommandText = sql.ToString();
#pragma warning restore CA2100

        var rows = new List<UsageRow>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var first = groups.Length;
            // Without groups there is always one line, of nothing when nothing was found.
            if (reader.GetInt64(first + 8) == 0) break;
            if (rows.Count == MostRows) return null;
            var (from, to) = (query.From, query.To);
            var names = new List<string>(groups.Length);
            for (var i = 0; i < groups.Length; i++)
            {
                if (groups[i].Member is not null)
                {
                    names.Add(reader.GetString(i));
                    continue;
                }
                var start = DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(i));
                (from, to) = (start < query.From ? query.From : start, start + groups[i].Span > query.To ? query.To : start + groups[i].Span);
            }
            rows.Add(new UsageRow(from, to, names)
            {
                Requests = reader.GetInt64(first),
                InputTokens = reader.GetInt64(first + 1),
                CachedInputTokens = reader.GetInt64(first + 2),
                CacheWriteTokens = reader.GetInt64(first + 3),
                OutputTokens = reader.GetInt64(first + 4),
                ReasoningTokens = reader.GetInt64(first + 5),
                CostUsd = (reader.GetInt64(first + 6) / 1000m) + Money.FromPico(reader.GetInt64(first + 7)),
            });
        }
        return rows;

        void Filter(string column, string? value)
        {
            if (value is null) return;
            sql.Append(" AND ").Append(column).Append(" = @").Append(column);
            command.AddParameter("@" + column, value);
        }
    }
}

using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Access;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>What the database has about a budget. Amounts are tokens or picodollars.</summary>
/// <param name="Settled">Usage of all calls of the period.</param>
/// <param name="Own">Outstanding amount of this process.</param>
/// <param name="OwnSettled">Usage that reduced it.</param>
/// <param name="Earlier">Outstanding amounts of processes whose calls this node replays.</param>
/// <param name="Others">Outstanding amounts of other nodes.</param>
/// <param name="WrittenOff">Outstanding amounts that count as used.</param>
/// <param name="Jobs">Held by jobs that no process has in its lease.</param>
/// <param name="OthersReserved">The part of <paramref name="Others"/> that calls have reserved, as far as these nodes have reported.</param>
/// <param name="GrantNumber">This process's last grant; 0 if there is none.</param>
/// <param name="LastGranted">Its amount.</param>
internal readonly record struct BudgetSums(
    long Settled, long Own, long OwnSettled, long Earlier, long Others, long WrittenOff, long Jobs, long OthersReserved, long GrantNumber,
    long LastGranted)
{
    // What was taken and is not in the ledger. A process that has not reported may have taken all of it.
    private const string Reserved = """
        CASE WHEN taken - settled < outstanding THEN CASE WHEN taken > settled THEN taken - settled ELSE 0 END ELSE outstanding END
        """;

    private static readonly string[] Classes = [.. CallClasses.All];

    /// <summary>What is left of <paramref name="limit"/>; negative if the limit was lowered or usage exceeded it.</summary>
    public Int128 Available(long limit) => (Int128)limit - Settled - Own - Earlier - Others - WrittenOff - Jobs;

    /// <summary>
    /// Reads all in one statement: usage and leases of a budget are from the same moment, although the ledger moves amounts from one to the
    /// other meanwhile.
    /// </summary>
    public static async Task<BudgetSums[]> ReadAsync(
        IStorage storage, DbConnection connection, BudgetHolder holder, IReadOnlyList<BudgetKey> keys, CancellationToken cancellationToken)
    {
        var sql = new StringBuilder();
        List<(string Name, SqlValue Value)> values = [("@node", holder.Node), ("@process", holder.Process)];
        for (var i = 0; i < keys.Count; i++)
        {
            if (i > 0) sql.Append(" UNION ALL ");
            Append(sql, storage.Provider, keys[i], i.ToString(CultureInfo.InvariantCulture), values);
        }
        var sums = new BudgetSums[keys.Count];
        var rows = await connection.QueryAsync(
            sql.ToString(), [.. values], row => (Index: row.Int32("place"), Sums: Read(row)), cancellationToken);
        foreach (var (index, one) in rows) sums[index] = one;
        return sums;
    }

    private static void Append(
        StringBuilder sql, StorageProvider provider, BudgetKey key, string i, List<(string Name, SqlValue Value)> values)
    {
        // Money in two parts, because a 64-bit sum of picodollars overflows at nine million dollars.
        var (high, low) = key.Name.IsMoney()
            ? ("SUM(cost_pico_usd / 1000000000)", "SUM(cost_pico_usd % 1000000000)")
            : ("0", "SUM(input_tokens + output_tokens)");
        var (index, owner) = key.Scope switch
        {
            LimitScope.Key => ("usage_hours_by_key", $"key_id = @owner{i}"),
            LimitScope.Project => ("usage_hours_by_project", $"project_id = @owner{i}"),
            LimitScope.Organization => ("usage_hours_by_organization", $"organization_id = @owner{i}"),
            _ => ("usage_hours_by_organization_model", $"organization_id = @owner{i} AND model = @model{i}"),
        };
        var (jobsHigh, jobsLow) = key.Name.IsMoney()
            ? ("SUM(hold_pico / 1000000000)", "SUM(hold_pico % 1000000000)") : ("0", "SUM(hold_tokens)");
        var jobsOwner = $"organization_id = @organization{i}" + key.Scope switch
        {
            LimitScope.Key => $" AND key_id = @owner{i}",
            LimitScope.Project => $" AND project_id = @owner{i}",
            LimitScope.Model => $" AND hold_model = @model{i}",
            _ => "",
        };
        sql.Append(CultureInfo.InvariantCulture, $"""
            SELECT CAST({i} AS BIGINT) AS place, u.high, u.low, l.own, l.own_settled, l.earlier, l.others, l.written_off, l.others_reserved,
                l.grant_number, l.granted, j.high AS jobs_high, j.low AS jobs_low
            FROM (
                SELECT CAST(COALESCE({high}, 0) AS BIGINT) AS high, CAST(COALESCE({low}, 0) AS BIGINT) AS low
                FROM usage_hours{(provider == StorageProvider.Sqlite ? " INDEXED BY " + index : "")}
                WHERE {owner} AND hour >= @from{i} AND hour < @until{i}{(key.Class is null ? "" : $" AND class = @class{i}")}
            ) u CROSS JOIN (
                SELECT {Sum("is_own = 1", "outstanding")} AS own, {Sum("is_own = 1", "settled")} AS own_settled,
                    {Sum("is_own = 0 AND written_off = 0 AND replay_node = @node", "outstanding")} AS earlier,
                    {Sum("is_own = 0 AND written_off = 0 AND replay_node <> @node", "outstanding")} AS others,
                    {Sum("is_own = 0 AND written_off <> 0", "outstanding")} AS written_off,
                    {Sum("is_own = 0 AND written_off = 0 AND replay_node <> @node", Reserved)} AS others_reserved,
                    {Sum("is_own = 1", "grant_number")} AS grant_number, {Sum("is_own = 1", "granted")} AS granted
                FROM (
                    SELECT b.outstanding, b.settled, b.grant_number, b.granted, b.taken,
                        CASE WHEN b.node = @node AND b.process = @process THEN 1 ELSE 0 END AS is_own,
                        COALESCE(h.written_off, 0) AS written_off, COALESCE(h.replay_node, b.node) AS replay_node
                    FROM budget_leases b LEFT JOIN budget_holders h ON h.node = b.node AND h.process = b.process
                    WHERE b.budget = @budget{i}
                ) held
            ) l CROSS JOIN (
                SELECT CAST(COALESCE({jobsHigh}, 0) AS BIGINT) AS high, CAST(COALESCE({jobsLow}, 0) AS BIGINT) AS low
                FROM generations{(provider == StorageProvider.Sqlite ? " INDEXED BY generations_free_holds" : "")}
                WHERE {BudgetHolds.CountsItself} AND {jobsOwner}{(key.Class is null ? "" : $" AND class_rank = @rank{i}")}
                    AND created_at >= @from{i} AND created_at < @until{i}
            ) j
            """);
        values.Add(("@owner" + i, key.ScopeId));
        if (key.Scope == LimitScope.Model) values.Add(("@model" + i, key.Model));
        values.Add(("@organization" + i, key.OrganizationId));
        if (key.Class is not null)
            values.AddRange([("@class" + i, key.Class), ("@rank" + i, Array.IndexOf(Classes, key.Class))]);
        values.Add(("@from" + i, key.PeriodStart));
        values.Add(("@until" + i, key.PeriodEnd));
        values.Add(("@budget" + i, key.ToText()));
    }

    private static string Sum(string condition, string column) =>
        $"CAST(COALESCE(SUM(CASE WHEN {condition} THEN {column} END), 0) AS BIGINT)";

    private static BudgetSums Read(SqlRow row) => new(
        Whole(row.Int64("high"), row.Int64("low")), row.Int64("own"), row.Int64("own_settled"), row.Int64("earlier"), row.Int64("others"),
        row.Int64("written_off"), Whole(row.Int64("jobs_high"), row.Int64("jobs_low")), row.Int64("others_reserved"),
        row.Int64("grant_number"), row.Int64("granted"));

    private static long Whole(long high, long low)
    {
        var sum = ((Int128)high * 1_000_000_000) + low;
        return sum > long.MaxValue ? long.MaxValue : (long)sum;
    }
}

using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;

namespace Fairlead.Limits.Thresholds;

/// <summary>SQL of the table <c>budget_totals</c>. All statements belong to the transaction that is open on the connection.</summary>
internal static class BudgetTotals
{
    /// <summary>
    /// Adds amounts, and locks the rows until the transaction ends: only one transaction at a time sees a budget cross a threshold. The
    /// order of the rows must be that of their texts, so that transactions wait for each other in one direction only.
    /// </summary>
    /// <returns>The rows as they are now, in any order.</returns>
    public static Task<List<BudgetTotal>> AddAsync(
        DbConnection connection, IReadOnlyList<(string Budget, DateTimeOffset PeriodEnd, long Amount)> rows,
        CancellationToken cancellationToken)
    {
        var sql = new StringBuilder("INSERT INTO budget_totals (budget, period_end, settled, warned) VALUES ");
        var values = new List<(string Name, SqlValue Value)>();
        for (var i = 0; i < rows.Count; i++)
        {
            sql.Append(CultureInfo.InvariantCulture, $"{(i == 0 ? "" : ", ")}(@budget{i}, @end{i}, @amount{i}, 0)");
            var suffix = i.ToString(CultureInfo.InvariantCulture);
            values.AddRange(
                [("@budget" + suffix, rows[i].Budget), ("@end" + suffix, rows[i].PeriodEnd), ("@amount" + suffix, rows[i].Amount)]);
        }
        sql.Append("""
             ON CONFLICT (budget) DO UPDATE SET settled = CASE WHEN budget_totals.settled > 9223372036854775807 - excluded.settled
                THEN 9223372036854775807 ELSE budget_totals.settled + excluded.settled END
            RETURNING budget, settled, warned
            """);
        return connection.QueryAsync(
            sql.ToString(), [.. values], row => new BudgetTotal(row.Text("budget"), row.Int64("settled"), row.Int32("warned")),
            cancellationToken);
    }

    public static Task SetAsync(DbConnection connection, BudgetTotal total, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            "UPDATE budget_totals SET settled = @settled, warned = @warned WHERE budget = @budget",
            [("@settled", total.Settled), ("@warned", total.Warned), ("@budget", total.Budget)], cancellationToken);

    /// <summary>Deletes those of periods that ended before <paramref name="before"/>.</summary>
    public static Task DeleteEndedAsync(DbConnection connection, DateTimeOffset before, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM budget_totals WHERE period_end < @before", [("@before", before)], cancellationToken);
}

/// <summary>A row of <c>budget_totals</c>.</summary>
/// <param name="Budget">The budget, as <see cref="BudgetKeys"/> writes it.</param>
/// <param name="Settled">Tokens or picodollars that calls of the period have used.</param>
/// <param name="Warned">The highest threshold that was reported, in percent; 0 if there is none.</param>
internal sealed record BudgetTotal(string Budget, long Settled, int Warned);

using Fairlead.Storage;

namespace Fairlead.Limits.Thresholds;

/// <summary>
/// What calls have used of budgets whose warnings somebody receives, and the highest threshold that was reported. Amounts are tokens or
/// picodollars. The truth stays in <c>usage_hours</c>; <c>settled</c> saves adding it up for each call.
/// </summary>
internal sealed class BudgetTotalsSchema : ISchemaStep
{
    public int Version => 720;

    public string Name => "totals of budgets";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE budget_totals (
            budget {sql.Text} NOT NULL PRIMARY KEY,
            period_end BIGINT NOT NULL,
            settled BIGINT NOT NULL,
            warned BIGINT NOT NULL
        ){sql.Keyed};
        CREATE INDEX budget_totals_by_period ON budget_totals (period_end);
        """;
}

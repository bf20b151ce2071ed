using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// The slices of budgets that processes hold (<c>budget_leases</c>), and these processes (<c>budget_holders</c>). Amounts are tokens or
/// picodollars. What a budget has left is its limit, minus its usage in <c>usage_hours</c>, minus all outstanding amounts.
/// </summary>
internal sealed class BudgetLeaseSchema : ISchemaStep
{
    public int Version => 700;

    public string Name => "leases of budgets";

    // outstanding: granted, and neither returned nor in the ledger as usage. settled: usage in the ledger that reduced outstanding.
    // grant_number, granted: the last grant, so that one with an unknown outcome can be found. return_number: the same for returns.
    // replay_node: the node whose spool has the calls that the ledger lacks. beat: grows while the process is alive.
    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE budget_leases (
            budget {sql.Text} NOT NULL,
            node {sql.Text} NOT NULL,
            process BIGINT NOT NULL,
            period_end BIGINT NOT NULL,
            outstanding BIGINT NOT NULL,
            settled BIGINT NOT NULL,
            grant_number BIGINT NOT NULL,
            granted BIGINT NOT NULL,
            return_number BIGINT NOT NULL,
            PRIMARY KEY (budget, node, process)
        ){sql.Keyed};
        CREATE INDEX budget_leases_by_holder ON budget_leases (node, process);
        CREATE INDEX budget_leases_by_period ON budget_leases (period_end);

        CREATE TABLE budget_holders (
            node {sql.Text} NOT NULL,
            process BIGINT NOT NULL,
            replay_node {sql.Text} NOT NULL,
            beat BIGINT NOT NULL,
            written_off BIGINT NOT NULL,
            PRIMARY KEY (node, process)
        ){sql.Keyed};
        """;
}

using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// What each process has told of its calls: what they have spent and hold of each lease (<c>taken</c>), and what they hold of money by
/// key, model, class and hour (<c>reserved</c>, JSON as <see cref="ReservedAmountsText"/> writes it). Null if it has not.
/// </summary>
internal sealed class ReservedAmountsSchema : ISchemaStep
{
    public int Version => 705;

    public string Name => "reserved amounts of processes";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE budget_leases ADD COLUMN taken BIGINT NULL;
        ALTER TABLE budget_holders ADD COLUMN reserved {sql.Text} NULL;
        """;
}

using Fairlead.Auditing.Spooling;

namespace Fairlead.Limits.Budgets;

/// <summary>One start of a process, as the owner of leases. Its spool has what the ledger lacks of its calls.</summary>
/// <param name="Node">The node's name: its folder of the spool.</param>
/// <param name="Process">Differs for every start of the node.</param>
internal sealed record BudgetHolder(string Node, long Process)
{
    /// <summary>This process.</summary>
    public static BudgetHolder Of(Spool spool) => new(spool.Folder.Node, spool.FirstSegment);

    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Node} {Process}");
}

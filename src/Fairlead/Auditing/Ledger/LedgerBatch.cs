using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;

namespace Fairlead.Auditing.Ledger;

/// <summary>What one transaction of the shipper writes.</summary>
/// <param name="Node">The node whose chain gets the records.</param>
/// <param name="Records">Calls that ended, and records of administration, in their order.</param>
internal sealed record LedgerBatch(string Node, IReadOnlyList<ShippedCall> Records)
{
    /// <summary>How far the node's spool has then been read; null if the records do not come from there.</summary>
    public SpoolPosition? Position { get; init; }

    /// <summary>Whether the records of changes that wait in the database are added, too.</summary>
    public bool TakesChanges { get; init; }
}

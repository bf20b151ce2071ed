using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Ledger;

namespace Fairlead.Auditing.Content;

/// <summary>
/// The recorded content of calls, for whoever must remove it. The records stay, with the hash of what they had, so the chain stays valid;
/// a signed statement takes the place of the content. Who removes a record with <see cref="BlockEditor"/> has removed its content with it.
/// Thread-safe.
/// </summary>
internal interface IAuditContent
{
    /// <summary>Removes the content of one record.</summary>
    /// <param name="node">The node of the record.</param>
    /// <param name="sequence">Its number in the chain of the node.</param>
    /// <param name="reason">Why.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    /// <returns>False if the record has no content, or had it removed before.</returns>
    Task<bool> RemoveAsync(string node, long sequence, RemovalReason reason, CancellationToken cancellationToken);

    /// <summary>
    /// Removes the content of all calls that match, a page in one transaction. What is still on a spool is not found: let the shipper catch
    /// up first.
    /// </summary>
    /// <param name="selection">Which: its limit and its cursor are ignored.</param>
    /// <param name="reason">Why.</param>
    /// <param name="cancellationToken">Stops between two transactions.</param>
    /// <returns>How many contents were removed.</returns>
    Task<long> RemoveAsync(AuditQuery selection, RemovalReason reason, CancellationToken cancellationToken);
}

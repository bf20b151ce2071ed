using System.Data.Common;

namespace Fairlead.Access;

/// <summary>
/// Records what administrators do, in the same chain as calls. <see cref="AdminResourceEndpoints{TRow}"/> uses it for every resource; an
/// endpoint of its own calls it for each change. Thread-safe.
/// </summary>
internal interface IAdminAudit
{
    /// <summary>Records a change in the transaction that makes it: none is committed without its record.</summary>
    Task RecordAsync(DbConnection connection, AdminAction action, CancellationToken cancellationToken);

    /// <summary>The transaction with the change is committed, so the record is soon in the chain. A hint; nothing is lost without it.</summary>
    void Committed();

    /// <summary>Records what changes nothing in the database, such as a refused attempt. Never waits and never fails.</summary>
    void Record(AdminAction action);
}

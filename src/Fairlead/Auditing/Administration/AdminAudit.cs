using System.Data.Common;
using Fairlead.Access;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Administration;

/// <summary>
/// Records of administration: those of changes go into the transaction of the change, from where a server adds them to its chain; all
/// others go through the spool. A command has no spool of its own, so it only makes records of changes. Thread-safe.
/// </summary>
internal sealed class AdminAudit(IServiceProvider services, PendingChanges pending, TimeProvider time, ILogger<AdminAudit> logger) : IAdminAudit
{
    // Resolving the spool opens this node's folder, which a command must not do.
    private readonly Lazy<Spool> _spool = new(services.GetRequiredService<Spool>);

    public Task RecordAsync(DbConnection connection, AdminAction action, CancellationToken cancellationToken) =>
        ChangeTable.AddAsync(connection, AdminRecordWriter.Write(action, time), cancellationToken);

    public void Committed() => pending.Note();

    public void Record(AdminAction action)
    {
        try
        {
            var record = AdminRecordWriter.Write(action, time);
            if (action.Name == AdminAction.Refused) _spool.Value.AppendRefused(SpoolRecordType.AdministrationRecorded, record);
            else _spool.Value.Append(SpoolRecordType.AdministrationRecorded, record);
        }
        catch (Exception failure)
        {
            // What it is about has happened: the response must say so.
            logger.AdministrationLost(failure);
        }
    }
}

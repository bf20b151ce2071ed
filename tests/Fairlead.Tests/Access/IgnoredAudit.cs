using System.Data.Common;
using Fairlead.Access;

namespace Fairlead.Tests.Access;

/// <summary>The chain of records has tests of its own.</summary>
internal sealed class IgnoredAudit : IAdminAudit
{
    public Task RecordAsync(DbConnection connection, AdminAction action, CancellationToken cancellationToken) => Task.CompletedTask;

    public void Committed()
    {
    }

    public void Record(AdminAction action)
    {
    }
}

using System.Data.Common;
using Fairlead.Access;

namespace Fairlead.Policies.Resources;

/// <summary>To which organization the calls belong that a policy applies to.</summary>
internal static class PolicyReach
{
    /// <summary>Null for the whole installation, and for an owner that does not exist.</summary>
    public static async ValueTask<string?> OrganizationOfAsync(
        DbConnection connection, PolicyOwner owner, CancellationToken cancellationToken)
    {
        if (owner.OrganizationId is { } organization) return organization;
        var project = owner.ProjectId;
        if (owner.KeyId is { } key) project = (await KeyTable.FindAsync(connection, key, cancellationToken))?.ProjectId;
        return project is null ? null : (await ProjectTable.FindAsync(connection, project, cancellationToken))?.OrganizationId;
    }

    /// <summary>Whether an administrator sees the policies of this owner.</summary>
    public static async ValueTask<bool> SeesAsync(
        DbConnection connection, Caller caller, PolicyOwner owner, CancellationToken cancellationToken) =>
        caller.Reach.IsAll || caller.Reach.Sees(await OrganizationOfAsync(connection, owner, cancellationToken));
}

namespace Fairlead.Access;

/// <summary>A role, with the organization that it is for. Immutable.</summary>
/// <param name="Role">The role.</param>
/// <param name="OrganizationId">The organization of <see cref="AdminRole.OrganizationAdmin"/>; null for the other roles.</param>
internal sealed record AdminGrant(AdminRole Role, string? OrganizationId = null)
{
    public static readonly AdminGrant Owner = new(AdminRole.Owner);

    /// <summary>Whether it may change anything.</summary>
    public bool CanWrite => Role != AdminRole.Auditor;

    /// <summary>The organizations that it shows.</summary>
    public AdminReach Reach => Role == AdminRole.OrganizationAdmin ? AdminReach.Of(OrganizationId) : AdminReach.All;

    /// <summary>Whether everything that <paramref name="other"/> allows is allowed by this one too; null allows nothing.</summary>
    public bool Includes(AdminGrant? other)
    {
        if (other is null) return true;
        return Role switch
        {
            AdminRole.Owner => true,
            AdminRole.Operator => other.Role != AdminRole.Owner,
            _ => other == this,
        };
    }

    /// <summary>The grant of a stored key; null for none. An administrator of no organization has no rights.</summary>
    public static AdminGrant? Of(string? role, string? organizationId) => AdminRoles.Find(role) switch
    {
        null => null,
        AdminRole.OrganizationAdmin => organizationId is null ? null : new AdminGrant(AdminRole.OrganizationAdmin, organizationId),
        AdminRole.Owner => Owner,
        { } known => new AdminGrant(known),
    };
}

namespace Fairlead.Policies;

/// <summary>Whose calls a policy applies to: one organization, project or key; all of the installation if none is named.</summary>
internal readonly record struct PolicyOwner(string? OrganizationId = null, string? ProjectId = null, string? KeyId = null)
{
    /// <summary>Policies of the installation are applied first, then those of the organization, the project and the key.</summary>
    public int Rank => KeyId is not null ? 3 : ProjectId is not null ? 2 : OrganizationId is not null ? 1 : 0;

    /// <summary>How many owners it names; a policy has at most one.</summary>
    public int Count => (OrganizationId is null ? 0 : 1) + (ProjectId is null ? 0 : 1) + (KeyId is null ? 0 : 1);
}

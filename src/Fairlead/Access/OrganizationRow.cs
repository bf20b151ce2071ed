namespace Fairlead.Access;

/// <summary>The payer. Ids start with <c>org_</c>.</summary>
internal sealed record OrganizationRow : AdminRow
{
    /// <summary>Its share when organizations compete; <see cref="LimitNumber.Weight"/>.</summary>
    public decimal Weight { get; init; } = 1;

    /// <summary>Whether its calls share work with those of other organizations that agree too.</summary>
    public bool SharesAcrossOrganizations { get; init; }

    /// <summary>A name of <see cref="AuditContents"/>; null for what is set above.</summary>
    public string? AuditContent { get; init; }

    /// <summary>The stored form of <see cref="LimitSetJson"/>; null for no limits.</summary>
    public string? Limits { get; init; }
}

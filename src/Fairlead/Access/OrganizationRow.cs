namespace Fairlead.Access;

/// <summary>The payer. Ids start with <c>org_</c>.</summary>
internal sealed record OrganizationRow : AdminRow
{
    /// <summary>A hundred years, as in the configuration.</summary>
    public const int MaxRetentionDays = 36_500;

    /// <summary>Its share when organizations compete; <see cref="LimitNumber.Weight"/>.</summary>
    public decimal Weight { get; init; } = 1;

    /// <summary>Whether its calls share work with those of other organizations that agree too.</summary>
    public bool SharesAcrossOrganizations { get; init; }

    /// <summary>A name of <see cref="AuditContents"/>; null for what is set above.</summary>
    public string? AuditContent { get; init; }

    /// <summary>Days that its audit records are stored, up to <see cref="MaxRetentionDays"/>; null for the time of the configuration.</summary>
    public int? AuditRetentionDays { get; init; }

    /// <summary>The same for their recorded content.</summary>
    public int? AuditContentRetentionDays { get; init; }

    /// <summary>The stored form of <see cref="LimitSetJson"/>; null for no limits.</summary>
    public string? Limits { get; init; }
}

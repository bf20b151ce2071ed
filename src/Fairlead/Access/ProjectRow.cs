namespace Fairlead.Access;

/// <summary>A part of an organization that has keys, files and usage of its own. Ids start with <c>proj_</c>.</summary>
internal sealed record ProjectRow : AdminRow
{
    public required string OrganizationId { get; init; }

    /// <summary>One of <see cref="Pipeline.CacheModes"/>; null for none.</summary>
    public string? Cache { get; init; }

    /// <summary>A name of <see cref="AuditContents"/>; null for what is set above.</summary>
    public string? AuditContent { get; init; }

    /// <summary>The stored form of <see cref="LimitSetJson"/>; null for no limits.</summary>
    public string? Limits { get; init; }
}

namespace Fairlead.Access;

/// <summary>What an organization pays for. Ids start with <c>proj_</c>.</summary>
internal sealed record ProjectRow : AdminRow
{
    public required string OrganizationId { get; init; }
}

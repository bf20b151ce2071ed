namespace Fairlead.Access;

/// <summary>Who pays. Ids start with <c>org_</c>.</summary>
internal sealed record OrganizationRow : AdminRow;

namespace Fairlead.Access;

/// <summary>The payer. Ids start with <c>org_</c>.</summary>
internal sealed record OrganizationRow : AdminRow;

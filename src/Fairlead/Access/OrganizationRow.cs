namespace Fairlead.Access;

/// <summary>Who pays.</summary>
internal sealed record OrganizationRow
{
    /// <summary><c>org_</c> + ULID.</summary>
    public required string Id { get; init; }

    public required string Name { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }
}

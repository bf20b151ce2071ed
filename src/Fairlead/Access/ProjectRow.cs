namespace Fairlead.Access;

/// <summary>What an organization pays for.</summary>
internal sealed record ProjectRow
{
    /// <summary><c>proj_</c> + ULID.</summary>
    public required string Id { get; init; }

    public required string OrganizationId { get; init; }

    public required string Name { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }
}

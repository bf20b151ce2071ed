namespace Fairlead.Access;

/// <summary>What the rows of admin resources have in common. Immutable.</summary>
internal abstract record AdminRow
{
    /// <summary>The prefix of the resource and a ULID.</summary>
    public required string Id { get; init; }

    public required string Name { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }
}

namespace Fairlead.Policies.Resources;

/// <summary>A stored policy in its current version. Immutable.</summary>
internal sealed record PolicyRow
{
    /// <summary><c>pol_</c> and a ULID.</summary>
    public required string Id { get; init; }

    /// <summary>
    /// Unique among the policies that the installation manages, and among those that one organization manages: a name must not tell an
    /// organization of another one.
    /// </summary>
    public required string Name { get; init; }

    public required PolicyOwner Owner { get; init; }

    /// <summary>One of <see cref="PolicyManager"/>.</summary>
    public string ManagedBy { get; init; } = PolicyManager.Installation;

    /// <summary>Whether administrators of the organization may change it.</summary>
    public bool IsOfOrganization => ManagedBy == PolicyManager.Organization;

    /// <summary>From 1; each change of name, rules or window makes the next one.</summary>
    public required long Version { get; init; }

    /// <summary>The rules as a JSON array, in the form of the admin API (<see cref="PolicyContent"/>).</summary>
    public required string Content { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }
}

/// <summary>A version of a policy, and who made it. Immutable.</summary>
internal sealed record PolicyVersionRow
{
    public required string PolicyId { get; init; }

    public required long Version { get; init; }

    public required string Name { get; init; }

    /// <summary>As <see cref="PolicyRow.ManagedBy"/>.</summary>
    public required string ManagedBy { get; init; }

    /// <summary>As <see cref="PolicyRow.Content"/>.</summary>
    public required string Content { get; init; }

    /// <summary>The key with which it was made.</summary>
    public required string ChangedBy { get; init; }

    /// <summary>The name of that key at that time.</summary>
    public required string ChangedByName { get; init; }

    public required DateTimeOffset ChangedAt { get; init; }
}

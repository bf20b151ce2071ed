namespace Fairlead.Policies.Resources;

/// <summary>A stored policy in its current version. Immutable.</summary>
internal sealed record PolicyRow
{
    /// <summary><c>pol_</c> and a ULID.</summary>
    public required string Id { get; init; }

    /// <summary>Unique in the installation.</summary>
    public required string Name { get; init; }

    public required PolicyOwner Owner { get; init; }

    /// <summary>From 1; each change of name, rules or window makes the next one.</summary>
    public required long Version { get; init; }

    /// <summary>Rules and window as one JSON object, in the form of the admin API.</summary>
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

    /// <summary>As <see cref="PolicyRow.Content"/>.</summary>
    public required string Content { get; init; }

    /// <summary>The key with which it was made.</summary>
    public required string ChangedBy { get; init; }

    /// <summary>The name of that key at that time.</summary>
    public required string ChangedByName { get; init; }

    public required DateTimeOffset ChangedAt { get; init; }
}

/// <summary>Whose calls a policy applies to: one organization, project or key; all of the installation if none is named.</summary>
internal readonly record struct PolicyOwner(string? OrganizationId = null, string? ProjectId = null, string? KeyId = null)
{
    /// <summary>Whether it applies to all calls. Only policies of the configuration do.</summary>
    public bool IsInstallation => OrganizationId is null && ProjectId is null && KeyId is null;

    /// <summary>Policies of the installation are applied first, then those of the organization, the project and the key.</summary>
    public int Rank => KeyId is not null ? 3 : ProjectId is not null ? 2 : OrganizationId is not null ? 1 : 0;
}

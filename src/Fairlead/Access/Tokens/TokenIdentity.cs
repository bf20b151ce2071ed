using System.Collections.Frozen;

namespace Fairlead.Access.Tokens;

/// <summary>What a verified token says, in the terms of this server. Immutable.</summary>
internal sealed record TokenIdentity
{
    /// <summary>The id of the caller, as a key id: see <see cref="TokenKeyId"/>.</summary>
    public required string KeyId { get; init; }

    public required string Name { get; init; }

    /// <summary>Null if neither the token nor the configuration names one.</summary>
    public required string? ProjectId { get; init; }

    public required FrozenSet<string> Scopes { get; init; }

    public required FrozenSet<string> Classes { get; init; }

    public required AdminRole? Role { get; init; }

    /// <summary>The organization of the role that the token names; null for that of the project.</summary>
    public required string? OrganizationId { get; init; }

    /// <summary>When the token ends, with the allowed difference of clocks.</summary>
    public required DateTimeOffset ExpiresAt { get; init; }
}

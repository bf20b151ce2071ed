namespace Fairlead.Access;

/// <summary>What a key may do. Its credentials are its <see cref="Secrets"/>.</summary>
internal sealed class ApiKeyRow
{
    /// <summary><c>key_</c> + ULID.</summary>
    public required string Id { get; init; }

    public required string ProjectId { get; init; }

    public required string Name { get; set; }

    public required string[] Scopes { get; set; }

    /// <summary>A name of <see cref="AdminRoles"/>; null for none.</summary>
    public string? Role { get; set; }

    /// <summary>The organization of the role; null if it is for none, or for all.</summary>
    public string? RoleOrganizationId { get; set; }

    /// <summary>The rights that the role stands for.</summary>
    public AdminGrant? Admin => AdminGrant.Of(Role, RoleOrganizationId);

    /// <summary>Null for all models.</summary>
    public string[]? Models { get; set; }

    public required string[] Classes { get; set; }

    /// <summary>One of <see cref="Classes"/>.</summary>
    public required string DefaultClass { get; set; }

    /// <summary>Networks in CIDR notation; empty for any.</summary>
    public required string[] Addresses { get; set; }

    public DateTimeOffset? ExpiresAt { get; set; }

    public required string ApiVersion { get; set; }

    public required bool Extensions { get; set; }

    /// <summary>Tokens joined into one chunk of a stream; null for the server's setting.</summary>
    public int? BatchTokens { get; set; }

    /// <summary>Longest wait for them in milliseconds; null for the server's setting.</summary>
    public int? BatchDelayMs { get; set; }

    /// <summary>A name of <see cref="Streaming.RescueModes"/>; null for the server's setting.</summary>
    public string? Rescue { get; set; }

    /// <summary>One of <see cref="Pipeline.CacheModes"/>; null for that of the project.</summary>
    public string? Cache { get; set; }

    /// <summary>A name of <see cref="AuditContents"/>; null for that of the project.</summary>
    public string? AuditContent { get; set; }

    /// <summary>When it was used last, to a minute; null if it was not.</summary>
    public DateTimeOffset? LastUsedAt { get; init; }

    /// <summary>The stored form of <see cref="LimitSetJson"/>; null for no limits.</summary>
    public string? Limits { get; set; }

    public DateTimeOffset? RevokedAt { get; set; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; set; }

    public List<ApiKeySecretRow> Secrets { get; } = [];
}

namespace Fairlead.Access;

/// <summary>One secret of a key: what is needed to recognise it, and nothing from which it could be made.</summary>
internal sealed class ApiKeySecretRow
{
    /// <summary>The part of the key that may be shown; finds the row.</summary>
    public required string PublicId { get; init; }

    public required string KeyId { get; init; }

    /// <summary>SHA-256 of the whole key.</summary>
    public required byte[] Hash { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>From when it no longer works, when it was rotated out.</summary>
    public DateTimeOffset? RetiresAt { get; set; }
}

namespace Fairlead.Access;

/// <summary>One secret of a key: what is needed to recognise it. The secret cannot be derived from it.</summary>
internal sealed class ApiKeySecretRow
{
    /// <summary>The part of the key that may be shown; used to look up the row.</summary>
    public required string PublicId { get; init; }

    public required string KeyId { get; init; }

    /// <summary>SHA-256 of the whole key.</summary>
    public required byte[] Hash { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When a rotated secret stops working.</summary>
    public DateTimeOffset? RetiresAt { get; set; }
}

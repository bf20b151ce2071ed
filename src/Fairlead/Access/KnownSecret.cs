using System.Security.Cryptography;

namespace Fairlead.Access;

/// <summary>One secret as the snapshot knows it. Immutable.</summary>
internal sealed class KnownSecret(byte[] hash, Caller caller, DateTimeOffset? revokedAt)
{
    /// <summary>Whom it stands for; its <see cref="Caller.SecretRetiresAt"/> is this secret's own.</summary>
    public Caller Caller { get; } = caller;

    public DateTimeOffset? RevokedAt { get; } = revokedAt;

    /// <summary>Whether <paramref name="text"/> is the whole key, in time that does not depend on how much of it is right.</summary>
    public bool Matches(ReadOnlySpan<char> text)
    {
        Span<byte> presented = stackalloc byte[ApiKeyText.HashLength];
        ApiKeyText.Hash(text, presented);
        return CryptographicOperations.FixedTimeEquals(presented, hash);
    }
}

using System.Security.Cryptography;

namespace Fairlead.Access;

/// <summary>One secret in the snapshot. Immutable.</summary>
internal sealed class KnownSecret(byte[] hash, Caller caller, DateTimeOffset? revokedAt, KeyUse? use = null)
{
    /// <summary>When its key was used last.</summary>
    public KeyUse Use { get; } = use ?? new KeyUse();

    /// <summary>The caller of the secret; <see cref="Caller.SecretRetiresAt"/> is that of this secret.</summary>
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

using System.Collections.Frozen;
using System.Security.Cryptography;

namespace Fairlead.Access;

/// <summary>
/// The client key of the environment, <c>FAIRLEAD_CLIENT_KEY</c>: calls models, and works on every server that has the variable. It is never stored; without the variable it is
/// unknown. Immutable.
/// </summary>
internal sealed class ClientKey
{
    public const string Variable = "FAIRLEAD_CLIENT_KEY";

    private readonly byte[]? _hash;

    /// <param name="value">What the variable holds; null or empty when it is not set.</param>
    /// <param name="adminKey">The admin key, which must be another one.</param>
    /// <exception cref="ArgumentException">The value cannot serve as a key; the message says why and what to do.</exception>
    public ClientKey(string? value, AdminKey? adminKey = null)
    {
        if (string.IsNullOrEmpty(value)) return;
        if (FaultOf(value, adminKey) is { } fault) throw new ArgumentException(fault, nameof(value));
        _hash = new byte[ApiKeyText.HashLength];
        ApiKeyText.Hash(value, _hash);
    }

    public bool IsSet => _hash is not null;

    /// <summary>Who the key stands for: the operator's own project, of no organization of the store.</summary>
    public Caller Caller { get; } = new()
    {
        OrganizationId = "org_operator",
        OrganizationName = "operator",
        ProjectId = "proj_operator",
        ProjectName = "operator",
        KeyId = "key_environment_client",
        KeyName = Variable,
        Scopes = FrozenSet.ToFrozenSet(Access.Scopes.Default),
    };

    /// <summary>What keeps <paramref name="value"/> from serving as the client key, or null. The value itself is never repeated.</summary>
    public static string? FaultOf(string? value, AdminKey? adminKey) =>
        AdminKey.FaultOf(Variable, value)
        ?? (value is not null && adminKey?.Matches(value) == true ? $"{Variable} and {AdminKey.Variable} hold the same key. Use two keys: clients must not administer." : null);

    /// <summary>Whether <paramref name="text"/> is the key, in time that does not depend on how much of it is right.</summary>
    public bool Matches(ReadOnlySpan<char> text)
    {
        if (_hash is null || text.Length > AdminKey.MaxLength) return false;
        Span<byte> hash = stackalloc byte[ApiKeyText.HashLength];
        ApiKeyText.Hash(text, hash);
        return CryptographicOperations.FixedTimeEquals(hash, _hash);
    }
}

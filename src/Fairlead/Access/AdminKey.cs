using System.Collections.Frozen;
using System.Security.Cryptography;

namespace Fairlead.Access;

/// <summary>The administrator's key of the environment, <c>FAIRLEAD_ADMIN_KEY</c>: works without a database. Immutable.</summary>
internal sealed class AdminKey
{
    public const string Variable = "FAIRLEAD_ADMIN_KEY";
    public const int MinLength = 16;
    public const int MaxLength = 512;

    private readonly byte[]? _hash;

    /// <param name="value">What the variable holds; null or empty when it is not set.</param>
    /// <exception cref="ArgumentException">The value cannot serve as a key; the message says why and what to do.</exception>
    public AdminKey(string? value)
    {
        if (string.IsNullOrEmpty(value)) return;
        if (FaultOf(value) is { } fault) throw new ArgumentException(fault, nameof(value));
        _hash = new byte[ApiKeyText.HashLength];
        ApiKeyText.Hash(value, _hash);
    }

    public bool IsSet => _hash is not null;

    /// <summary>Who the key stands for: the operator, of no organization of the store.</summary>
    public Caller Caller { get; } = new()
    {
        OrganizationId = "org_operator",
        OrganizationName = "operator",
        ProjectId = "proj_operator",
        ProjectName = "operator",
        KeyId = "key_environment",
        KeyName = Variable,
        Scopes = FrozenSet.ToFrozenSet([Access.Scopes.AdminAll]),
    };

    /// <summary>What keeps <paramref name="value"/> from serving as the admin key, or null. The value itself is never repeated.</summary>
    public static string? FaultOf(string? value) => FaultOf(Variable, value);

    /// <summary>The same for the key of another <paramref name="variable"/>.</summary>
    internal static string? FaultOf(string variable, string? value)
    {
        if (string.IsNullOrEmpty(value)) return null;
        if (value.Length < MinLength) return $"{variable} has {value.Length} characters; a key needs at least {MinLength}. `openssl rand -base64 32` makes a good one.";
        if (value.Length > MaxLength) return $"{variable} has {value.Length} characters; the longest accepted is {MaxLength}.";
        foreach (var letter in value)
        {
            if (letter is <= ' ' or >= '\u007f') return $"{variable} holds a space, a line break or a letter outside ASCII, which does not travel in an HTTP header. Use letters, digits and punctuation.";
        }
        return null;
    }

    /// <summary>Whether <paramref name="text"/> is the key, in time that does not depend on how much of it is right.</summary>
    public bool Matches(ReadOnlySpan<char> text)
    {
        if (_hash is null || text.Length > MaxLength) return false;
        Span<byte> hash = stackalloc byte[ApiKeyText.HashLength];
        ApiKeyText.Hash(text, hash);
        return CryptographicOperations.FixedTimeEquals(hash, _hash);
    }
}

using System.Security.Cryptography;

namespace Fairlead.Access;

/// <summary>A key from an environment variable, not stored in a database. Only its hash is kept in memory. Immutable.</summary>
internal abstract class EnvironmentKey
{
    /// <summary>The start of the ids of such keys, which are not in the store.</summary>
    public const string KeyPrefix = "key_environment";

    /// <summary>The project of such a key. It is not in the store.</summary>
    public const string ProjectId = "proj_operator";

    public const int MinLength = 16;
    public const int MaxLength = 512;

    private readonly byte[]? _hash;
    private readonly IContentRecordings? _recordings;
    private readonly Func<ContentRecording?, Caller> _callerOf;
    private Caller _caller;

    /// <param name="value">The value of the variable; null or empty when it is not set.</param>
    /// <param name="error">Why it cannot be used as a key; null if it can.</param>
    /// <param name="recordings">How the content of its calls is recorded; null for not at all.</param>
    /// <param name="callerOf">Makes the caller of the key.</param>
    /// <exception cref="ArgumentException">The value cannot be used as a key; the message says why and what to do.</exception>
    protected EnvironmentKey(
        string? value, string? error, IContentRecordings? recordings, Func<ContentRecording?, Caller> callerOf)
    {
        (_recordings, _callerOf) = (recordings, callerOf);
        _caller = callerOf(recordings?.Of(null));
        if (string.IsNullOrEmpty(value)) return;
        if (error is not null) throw new ArgumentException(error, nameof(value));
        _hash = new byte[ApiKeyText.HashLength];
        ApiKeyText.Hash(value, _hash);
    }

    public bool IsSet => _hash is not null;

    /// <summary>The caller of this key: another object after the configuration has changed how content is recorded.</summary>
    public Caller Caller
    {
        get
        {
            var caller = Volatile.Read(ref _caller);
            var recording = _recordings?.Of(null);
            if (caller.Recording == recording) return caller;
            caller = _callerOf(recording);
            Volatile.Write(ref _caller, caller);
            return caller;
        }
    }

    /// <summary>Whether <paramref name="text"/> is the key, in time that does not depend on how much of it is right.</summary>
    public bool Matches(ReadOnlySpan<char> text)
    {
        if (_hash is null || text.Length > MaxLength) return false;
        Span<byte> hash = stackalloc byte[ApiKeyText.HashLength];
        ApiKeyText.Hash(text, hash);
        return CryptographicOperations.FixedTimeEquals(hash, _hash);
    }

    /// <summary>
    /// Why <paramref name="value"/> cannot be used as the key of <paramref name="variable"/>, or null. The text never contains the value.
    /// </summary>
    protected static string? ErrorOf(string variable, string? value)
    {
        if (string.IsNullOrEmpty(value)) return null;
        if (value.Length < MinLength)
        {
            return $"{variable} has {value.Length} characters; a key needs at least {MinLength}. "
                + "`openssl rand -base64 32` generates a good one.";
        }
        if (value.Length > MaxLength) return $"{variable} has {value.Length} characters; the maximum is {MaxLength}.";
        foreach (var letter in value)
        {
            if (letter is > ' ' and < '\u007f') continue;
            return $"{variable} contains a space, a line break or a non-ASCII character, which an HTTP header cannot carry. "
                + "Use letters, digits and punctuation.";
        }
        return null;
    }

    /// <summary>The caller of such a key: the operator, without an organization in the store.</summary>
    protected static Caller CallerOf(
        string keyId, string variable, IEnumerable<string> scopes, ContentRecording? recording, AdminGrant? admin = null) => new()
    {
        OrganizationId = OperatorCaller.OrganizationId,
        OrganizationName = "operator",
        ProjectId = ProjectId,
        ProjectName = "operator",
        KeyId = keyId,
        KeyName = variable,
        Scopes = System.Collections.Frozen.FrozenSet.ToFrozenSet(scopes),
        Admin = admin,
        Recording = recording,
    };
}

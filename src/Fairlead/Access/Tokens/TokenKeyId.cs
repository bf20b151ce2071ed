using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Access.Tokens;

/// <summary>
/// The key id of a caller with a token, for audit records, usage and limits: <c>key_oidc_</c>, the name of the issuer, <c>_</c>, the subject.
/// A subject that is long or has unusual characters is replaced by its hash.
/// </summary>
internal static class TokenKeyId
{
    public const string Prefix = "key_oidc_";

    private const int MaxSubject = 64;
    private const string Hashed = "sha256-";

    public static string Of(string issuer, string subject) => $"{Prefix}{issuer}_{(IsPlain(subject) ? subject : Hash(subject))}";

    /// <summary>Whether it is the id of a caller with a token. Ids of stored keys have no second underscore.</summary>
    public static bool Is(string keyId) => keyId.StartsWith(Prefix, StringComparison.Ordinal);

    /// <summary>Whether a list of subjects has this caller: as its tokens have it, or as the end of the id has it.</summary>
    public static bool IsOneOf(IReadOnlyList<string> subjects, string issuer, string keyId) =>
        subjects.Count > 0 && subjects.Any(subject =>
            Of(issuer, subject) == keyId || keyId.AsSpan(Prefix.Length + issuer.Length + 1).SequenceEqual(subject));

    // A subject that looks like a hash is hashed, so that two subjects never have the same id.
    private static bool IsPlain(string subject) => subject.Length <= MaxSubject && !subject.StartsWith(Hashed, StringComparison.Ordinal)
        && subject.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.' or '@' or '|' or ':');

    private static string Hash(string subject) => Hashed + Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(subject)));
}

using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using Fairlead.Auditing.Spooling;

namespace Fairlead.Access;

/// <summary>
/// The form of a key: <c>fl_</c>, public id (16), <c>_</c>, secret (43), checksum (6); letters and digits only after the prefix.
/// The secret has 256 random bits. The checksum is CRC-32C of everything before it. It distinguishes a typo or a truncated copy from an
/// unknown key without a look-up, and lets scanners of source code recognise a leaked key offline. It is not a protection.
/// </summary>
internal static class ApiKeyText
{
    public const string Prefix = "fl_";
    public const int PublicIdLength = 16;
    public const int SecretLength = 43;
    public const int ChecksumLength = 6;
    public const int Length = 3 + PublicIdLength + 1 + SecretLength + ChecksumLength;
    public const int HashLength = SHA256.HashSizeInBytes;

    private const string Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    private static readonly System.Buffers.SearchValues<char> Letters = System.Buffers.SearchValues.Create(Alphabet);

    /// <summary>Generates a new key. Thread-safe.</summary>
    public static NewApiKey New()
    {
        var publicId = RandomNumberGenerator.GetString(Alphabet, PublicIdLength);
        var checkedPart = Prefix + publicId + "_" + RandomNumberGenerator.GetString(Alphabet, SecretLength);
        Span<char> checksum = stackalloc char[ChecksumLength];
        WriteChecksum(checkedPart, checksum);
        var text = string.Concat(checkedPart, checksum);
        var hash = new byte[HashLength];
        Hash(text, hash);
        return new NewApiKey(text, publicId, hash);
    }

    /// <summary>Whether <paramref name="text"/> has the form of a key and its checksum is right.</summary>
    /// <param name="text">What was presented.</param>
    /// <param name="publicId">The part that is used to look up the key.</param>
    public static bool TryParse(ReadOnlySpan<char> text, out ReadOnlySpan<char> publicId)
    {
        publicId = default;
        if (text.Length != Length || !text.StartsWith(Prefix, StringComparison.Ordinal) || text[Prefix.Length + PublicIdLength] != '_')
            return false;
        var id = text.Slice(Prefix.Length, PublicIdLength);
        if (id.ContainsAnyExcept(Letters) || text[(Prefix.Length + PublicIdLength + 1)..].ContainsAnyExcept(Letters)) return false;
        Span<char> checksum = stackalloc char[ChecksumLength];
        WriteChecksum(text[..^ChecksumLength], checksum);
        if (!text[^ChecksumLength..].SequenceEqual(checksum)) return false;
        publicId = id;
        return true;
    }

    /// <summary>
    /// SHA-256 of the UTF-8 of <paramref name="text"/>, of at most <see cref="EnvironmentKey.MaxLength"/> characters. Allocates nothing.
    /// </summary>
    public static void Hash(ReadOnlySpan<char> text, Span<byte> hash)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(text.Length, EnvironmentKey.MaxLength);
        Span<byte> utf8 = stackalloc byte[Encoding.UTF8.GetMaxByteCount(text.Length)];
        SHA256.HashData(utf8[..Encoding.UTF8.GetBytes(text, utf8)], hash);
    }

    private static void WriteChecksum(ReadOnlySpan<char> text, Span<char> checksum)
    {
        var crc = uint.MaxValue;
        foreach (var letter in text) crc = BitOperations.Crc32C(crc, (byte)letter);
        crc = ~crc;
        for (var i = ChecksumLength - 1; i >= 0; i--, crc /= 62) checksum[i] = Alphabet[(int)(crc % 62)];
    }
}

using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Auditing.Content;

/// <summary>
/// What is recorded of a file in a request or response in place of its content. A file in base64 or base64url, with or without padding, is
/// decoded for it, a piece at a time; the hash of anything else is that of its text. Immutable.
/// </summary>
/// <param name="MediaType">Its type; null if it is not there.</param>
/// <param name="Hash">SHA-256, in hexadecimal.</param>
/// <param name="Bytes">Its size.</param>
internal sealed record FileDigest(string? MediaType, string Hash, long Bytes)
{
    /// <summary>Shorter texts under a name of base64 are recorded as the text that they are.</summary>
    private const int ShortestFile = 16;

    /// <summary>The same under a name of an address, where an id may look like base64.</summary>
    private const int ShortestAtAddress = 128;

    /// <summary>Longer ones are no type.</summary>
    private const int LongestType = 127;

    private const int GroupCharacters = 4096;

    private static readonly SearchValues<char> Letters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n");

    /// <summary>The file that a text is; null if it is none.</summary>
    /// <param name="text">The text.</param>
    /// <param name="name">Its name, at which there may be a file.</param>
    public static FileDigest? Of(string text, string name)
    {
        if (!text.StartsWith("data:", StringComparison.OrdinalIgnoreCase)) return IsEncoded(text, name) ? Of(null, text, isEncoded: true) : null;
        var comma = text.IndexOf(',', StringComparison.Ordinal);
        var head = text.AsSpan("data:".Length..Math.Max("data:".Length, comma));
        var type = head.IndexOf(';') is >= 0 and var end ? head[..end] : head;
        return Of(
            type.Length is 0 or > LongestType ? null : new string(type), text.AsSpan(comma < 0 ? "data:".Length : comma + 1),
            head.EndsWith(";base64", StringComparison.OrdinalIgnoreCase));
    }

    private static bool IsEncoded(string text, string name)
    {
        var isForBase64 = name is "data" or "file_data" or "bytes" or "b64_json";
        if (text.Length < (isForBase64 ? ShortestFile : ShortestAtAddress)) return false;
        return !text.AsSpan().ContainsAnyExcept(Letters) || (isForBase64 && Base64.IsValid(text));
    }

    private static FileDigest Of(string? type, ReadOnlySpan<char> text, bool isEncoded)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var decoded = isEncoded ? Decode(text, hash) : -1;
        // What was added before the first invalid character does not count.
        if (decoded < 0 && isEncoded) hash.GetHashAndReset();
        var bytes = decoded < 0 ? Encode(text, hash) : decoded;
        return new FileDigest(type, Convert.ToHexStringLower(hash.GetHashAndReset()), bytes);
    }

    // -1 if it is not base64.
    private static long Decode(ReadOnlySpan<char> text, IncrementalHash hash)
    {
        Span<char> group = stackalloc char[GroupCharacters];
        Span<byte> bytes = stackalloc byte[GroupCharacters / 4 * 3];
        var (count, total) = (0, 0L);
        foreach (var letter in text.TrimEnd("=\r\n\t "))
        {
            if (letter is '\r' or '\n' or '\t' or ' ') continue;
            group[count++] = letter switch { '-' => '+', '_' => '/', _ => letter };
            if (count < group.Length) continue;
            if (!TryAdd(group, bytes)) return -1;
            count = 0;
        }
        if (count % 4 == 1) return -1;
        while (count % 4 != 0) group[count++] = '=';
        return count == 0 || TryAdd(group[..count], bytes) ? total : -1;

        bool TryAdd(ReadOnlySpan<char> letters, Span<byte> buffer)
        {
            if (!Convert.TryFromBase64Chars(letters, buffer, out var length)) return false;
            hash.AppendData(buffer[..length]);
            total += length;
            return true;
        }
    }

    private static long Encode(ReadOnlySpan<char> text, IncrementalHash hash)
    {
        Span<byte> bytes = stackalloc byte[GroupCharacters * 3];
        var total = 0L;
        while (!text.IsEmpty)
        {
            var length = Math.Min(text.Length, GroupCharacters);
            if (length < text.Length && char.IsHighSurrogate(text[length - 1])) length--;
            var written = Encoding.UTF8.GetBytes(text[..length], bytes);
            hash.AppendData(bytes[..written]);
            total += written;
            text = text[length..];
        }
        return total;
    }
}

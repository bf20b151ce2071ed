using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.RegularExpressions;

namespace Fairlead.Policies.Checking;

/// <summary>Files in base64 in a request: which strings are one, and whether a file is text.</summary>
internal static partial class EncodedFile
{
    /// <summary>Shorter base64 is checked as the text that it is.</summary>
    private const int ShortestFile = 16;

    /// <summary>Base64 up to this length is checked as a text too: a key looks like it.</summary>
    private const int LongestKey = 512;

    /// <summary>Longer text before the base64 is none of a data URL.</summary>
    private const int LongestPrefix = 512;

    private static readonly SearchValues<byte> Controls = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 127]);

    /// <summary>Whether a text under this name may be a file.</summary>
    public static bool IsPlace(string name) => name is
        "data" or "file_data" or "bytes" or "b64_json" or "url" or "image_url" or "file_url" or "video_url" or "uri" or "fileUri" or "file_uri";

    /// <summary>How a text at such a place is checked. Null: it is the content of a binary file.</summary>
    /// <param name="text">The text, as a text.</param>
    /// <param name="name">Its name.</param>
    /// <param name="frame">The object that contains it, with all of its members.</param>
    public static ContentText? Read(in ContentText text, string name, ContentFrame frame)
    {
        var value = text.Value;
        if (value.StartsWith("data:", StringComparison.OrdinalIgnoreCase)) return OfDataUrl(text);
        // Only the fields of base64 may have it without a prefix. The source of a document says that it is text.
        if (name is not ("data" or "file_data" or "bytes" or "b64_json") || frame.Type == "text") return text;
        // Reasoning that a vendor has sealed.
        if (frame.Type is "redacted_thinking" or "reasoning.encrypted") return null;
        if (value.Length < ShortestFile || !Base64.IsValid(value)) return text;
        var declared = frame.MediaType ?? (frame.Name is "input_audio" or "audio" ? "audio/" : name == "b64_json" ? "image/" : "");
        if (Decode(value, 0, declared) is { } content)
        {
            var raw = declared.Length == 0 && value.Length <= LongestKey ? value : null;
            return text with { Form = ContentForm.File, Value = content.Text, Encoding = content.Encoding, Raw = raw };
        }
        return IsMedia(declared) || IsBinary(Start(value, 0)) ? null : text;
    }

    private static ContentText OfDataUrl(in ContentText text)
    {
        var comma = text.Value.IndexOf(',', StringComparison.Ordinal);
        if (comma is < 0 or > LongestPrefix || DataPrefix().Match(text.Value[..comma]) is not { Success: true } prefix) return text;
        var start = comma + 1;
        if (!Base64.IsValid(text.Value.AsSpan(start))) return text;
        if (Decode(text.Value, start, prefix.Groups[1].Value) is { } content)
        {
            return text with
            {
                Form = ContentForm.File, Prefix = text.Value[..start], Value = content.Text, Encoding = content.Encoding,
            };
        }
        return text with { Value = text.Value[..start], Suffix = text.Value.AsMemory(start) };
    }

    /// <summary>The text of a file; null if it is binary.</summary>
    private static (string Text, Encoding Encoding)? Decode(string value, int start, string declared)
    {
        var isText = IsText(declared);
        // Most files are images and sound: their first bytes say so.
        if (!isText && IsBinary(Start(value, start))) return null;
        var bytes = ArrayPool<byte>.Shared.Rent(Base64.GetMaxDecodedFromUtf8Length(value.Length - start));
        try
        {
            if (!Convert.TryFromBase64Chars(value.AsSpan(start), bytes, out var length) || length == 0) return null;
            var content = bytes.AsSpan(0, length);
            if (EncodingOf(content, isText, IsMedia(declared)) is not { } encoding) return null;
            return (encoding.GetString(content), encoding);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes, clearArray: true);
        }
    }

    /// <summary>How the characters of a file are encoded; null if it has none.</summary>
    private static Encoding? EncodingOf(ReadOnlySpan<byte> content, bool isText, bool isMedia)
    {
        if (content.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE])) return Encoding.Unicode;
        if (content.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF])) return Encoding.BigEndianUnicode;
        var (even, odd, controls) = (0, 0, 0);
        for (var i = 0; i < content.Length; i++)
        {
            if (content[i] == 0 && i % 2 == 0) even++;
            else if (content[i] == 0) odd++;
            if (Controls.Contains(content[i])) controls++;
        }
        if (!isMedia && content.Length >= 4)
        {
            if (odd > content.Length / 4 && even < content.Length / 16) return Encoding.Unicode;
            if (even > content.Length / 4 && odd < content.Length / 16) return Encoding.BigEndianUnicode;
        }
        var isUtf8 = System.Text.Unicode.Utf8.IsValid(content);
        if (isMedia) return isUtf8 && controls == 0 ? Encoding.UTF8 : null;
        // Of random bytes every ninth is a control character.
        if (!isText && controls > 1 + (content.Length / 20)) return null;
        return isUtf8 ? Encoding.UTF8 : Encoding.Latin1;
    }

    private static bool IsText(string mediaType) =>
        mediaType.StartsWith("text/", StringComparison.OrdinalIgnoreCase) || mediaType.Contains("json", StringComparison.OrdinalIgnoreCase)
        || (mediaType.Contains("xml", StringComparison.OrdinalIgnoreCase) && !mediaType.Contains("officedocument", StringComparison.OrdinalIgnoreCase))
        || mediaType.Contains("yaml", StringComparison.OrdinalIgnoreCase) || mediaType.Contains("javascript", StringComparison.OrdinalIgnoreCase);

    private static bool IsMedia(string mediaType) => !IsText(mediaType)
        && (mediaType.StartsWith("image/", StringComparison.OrdinalIgnoreCase) || mediaType.StartsWith("audio/", StringComparison.OrdinalIgnoreCase)
            || mediaType.StartsWith("video/", StringComparison.OrdinalIgnoreCase) || mediaType.StartsWith("font/", StringComparison.OrdinalIgnoreCase));

    private static byte[] Start(string value, int start)
    {
        Span<byte> bytes = stackalloc byte[48];
        var characters = value.AsSpan(start, Math.Min(value.Length - start, 64));
        // White space may be in it; a start of whole groups is enough.
        while (characters.Length > 0 && !Convert.TryFromBase64Chars(characters, bytes, out _)) characters = characters[..^1];
        return characters.Length > 0 && Convert.TryFromBase64Chars(characters, bytes, out var length) ? bytes[..length].ToArray() : [];
    }

    private static bool IsBinary(ReadOnlySpan<byte> start) =>
        start.StartsWith("%PDF-"u8) || start.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10])
        || start.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]) || start.StartsWith("GIF87a"u8) || start.StartsWith("GIF89a"u8)
        || start.StartsWith((ReadOnlySpan<byte>)[(byte)'P', (byte)'K', 3, 4]) || start.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B, 8])
        || start.StartsWith((ReadOnlySpan<byte>)[(byte)'O', (byte)'g', (byte)'g', (byte)'S', 0]) || start.StartsWith("fLaC\0"u8)
        || start.StartsWith((ReadOnlySpan<byte>)[(byte)'I', (byte)'D', (byte)'3', 2]) || start.StartsWith((ReadOnlySpan<byte>)[(byte)'I', (byte)'D', (byte)'3', 3])
        || start.StartsWith((ReadOnlySpan<byte>)[(byte)'I', (byte)'D', (byte)'3', 4]) || start.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFB])
        || start.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xF3]) || start.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xF1])
        || start.StartsWith((ReadOnlySpan<byte>)[0x1A, 0x45, 0xDF, 0xA3]) || start.StartsWith((ReadOnlySpan<byte>)[0xD0, 0xCF, 0x11, 0xE0])
        || (start.Length >= 12 && start.StartsWith("RIFF"u8) && (start[8..].StartsWith("WAVE"u8) || start[8..].StartsWith("WEBP"u8) || start[8..].StartsWith("AVI "u8)))
        || (start.Length >= 12 && start[0] == 0 && start[4..].StartsWith("ftyp"u8))
        || (start.Length >= 8 && (start.StartsWith("II*\0"u8) || start.StartsWith("MM\0*"u8)));

    [GeneratedRegex(@"^data:([a-z0-9.+-]{1,100}/[a-z0-9.+-]{1,100})?(?:;[a-z0-9.+-]{1,100}=[^;,]{0,200})*;base64$",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex DataPrefix();
}

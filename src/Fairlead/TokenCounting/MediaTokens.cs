using System.Buffers.Binary;
using System.Buffers.Text;
using Fairlead.Conversation;

namespace Fairlead.TokenCounting;

/// <summary>Estimates the tokens of images, audio and documents by the rules that vendors publish. Pure.</summary>
internal static class MediaTokens
{
    /// <summary>More than any vendor charges for one image.</summary>
    public const int MaxPerImage = 4096;

    public static int OfImage(ImagePart image, string tokenizerName)
    {
        var size = image.Data is null ? null : SizeOf(image.Data);
        return Family(tokenizerName) switch
        {
            'o' => image.Detail == "low" ? 85 : OpenAi(size),
            'c' => size is { } s ? (int)Math.Clamp((long)s.Width * s.Height / 750, 1, 1600) : 1600,
            'g' => size is { } s ? s.Width <= 384 && s.Height <= 384 ? 258 : 258 * Tiles(s.Width, 768) * Tiles(s.Height, 768) : 1032,
            _ => 1000,
        } is var tokens && tokens > MaxPerImage ? MaxPerImage : tokens;
    }

    // About 10 to 32 tokens per second; spoken MP3 has about 16 KB per second, WAV 48 KB.
    public static int OfAudio(AudioPart audio) => 1 + (int)(audio.Data.Length * 3L / 4 / (audio.Format == "mp3" ? 800 : 2400));

    /// <summary>A document that is not plain text; most vendors charge pages both as text and as images.</summary>
    public static int OfDocument(FilePart file) => file.Data is null ? 1500 : 1500 + (int)(file.Data.Length * 3L / 4 / 25);

    /// <summary>Width and height of an inline PNG, GIF or JPEG, from its first bytes; null if they are not there.</summary>
    internal static (int Width, int Height)? SizeOf(MediaData base64)
    {
        // The frame header of a JPEG comes after its thumbnails; in practice it is within 48 KB.
        var utf8 = base64.Base64.Span[..(Math.Min(base64.Length, 65_536) & ~3)].ToArray();
        Base64.DecodeFromUtf8InPlace(utf8, out var written);
        var bytes = utf8.AsSpan(0, written);
        (int, int)? size = null;
        if (bytes.Length >= 24 && bytes.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G']))
        {
            size = ((int)BinaryPrimitives.ReadUInt32BigEndian(bytes[16..]), (int)BinaryPrimitives.ReadUInt32BigEndian(bytes[20..]));
        }
        else if (bytes.Length >= 10 && bytes.StartsWith("GIF8"u8))
        {
            size = (BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]), BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]));
        }
        else if (bytes.Length >= 4 && bytes[0] == 0xFF && bytes[1] == 0xD8)
        {
            size = OfJpeg(bytes);
        }
        return size is { Item1: > 0 and <= 65_535, Item2: > 0 and <= 65_535 } ? size : null;
    }

    private static (int, int)? OfJpeg(ReadOnlySpan<byte> bytes)
    {
        var at = 2;
        while (at + 9 < bytes.Length && bytes[at] == 0xFF)
        {
            var marker = bytes[at + 1];
            if (marker is >= 0xC0 and <= 0xCF and not (0xC4 or 0xC8 or 0xCC))
            {
                return (BinaryPrimitives.ReadUInt16BigEndian(bytes[(at + 7)..]), BinaryPrimitives.ReadUInt16BigEndian(bytes[(at + 5)..]));
            }
            at += 2 + Math.Max((ushort)2, BinaryPrimitives.ReadUInt16BigEndian(bytes[(at + 2)..]));
        }
        return null;
    }

    // 85, plus 170 for each square of 512, after fitting into 2048 and a short side of 768.
    private static int OpenAi((int Width, int Height)? size)
    {
        if (size is not { } s) return 765;
        var scale = Math.Min(1.0, 2048.0 / Math.Max(s.Width, s.Height));
        var (width, height) = (s.Width * scale, s.Height * scale);
        var down = Math.Min(1.0, 768 / Math.Min(width, height));
        return 85 + (170 * Tiles((int)Math.Ceiling(width * down), 512) * Tiles((int)Math.Ceiling(height * down), 512));
    }

    private static int Tiles(int length, int tile) => Math.Max(1, (length + tile - 1) / tile);

    private static char Family(string name) => name switch
    {
        "o200k" or "cl100k" => 'o',
        "gemini" => 'g',
        _ when name.StartsWith("claude", StringComparison.Ordinal) => 'c',
        _ => ' ',
    };
}

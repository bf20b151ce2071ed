namespace Fairlead.Streaming;

/// <summary>
/// Examines JSON strings that contain escapes without decoding them. The text is well-formed JSON (a reader has validated it).
/// </summary>
internal static class JsonEscapes
{
    /// <summary>Offset of a <c>\u</c> escape that is half of a surrogate pair without its other half, or -1.</summary>
    public static int FindLoneSurrogate(ReadOnlySpan<byte> text)
    {
        var at = 0;
        while (true)
        {
            var next = text[at..].IndexOf((byte)'\\');
            if (next < 0) return -1;
            at += next;
            if (text[at + 1] != (byte)'u')
            {
                at += 2;
                continue;
            }
            var unit = CodeUnit(text, at);
            if (unit is < 0xD800 or > 0xDFFF)
            {
                at += 6;
                continue;
            }
            if (unit >= 0xDC00 || at + 12 > text.Length || text[at + 6] != (byte)'\\' || text[at + 7] != (byte)'u') return at;
            if (CodeUnit(text, at + 6) is < 0xDC00 or > 0xDFFF) return at;
            at += 12;
        }
    }

    /// <summary>UTF-8 bytes of the decoded text.</summary>
    public static int DecodedLength(ReadOnlySpan<byte> text)
    {
        var length = text.Length;
        var at = 0;
        while (true)
        {
            var next = text[at..].IndexOf((byte)'\\');
            if (next < 0) return length;
            at += next;
            if (text[at + 1] != (byte)'u')
            {
                length -= 1;
                at += 2;
                continue;
            }
            var unit = CodeUnit(text, at);
            // Each half of a pair counts for two of the pair's four bytes.
            length -= 6 - (unit < 0x80 ? 1 : unit is < 0x800 or (>= 0xD800 and <= 0xDFFF) ? 2 : 3);
            at += 6;
        }
    }

    /// <summary>
    /// Decodes the start of a text as far as <paramref name="target"/> reaches; letters beyond ASCII written as escapes become <c>?</c>.
    /// </summary>
    public static ReadOnlySpan<byte> DecodePrefix(ReadOnlySpan<byte> text, Span<byte> target)
    {
        int at = 0, written = 0;
        while (at < text.Length && written < target.Length)
        {
            if (text[at] != (byte)'\\')
            {
                target[written++] = text[at++];
                continue;
            }
            var letter = text[at + 1];
            if (letter == (byte)'u')
            {
                var unit = CodeUnit(text, at);
                target[written++] = unit < 0x80 ? (byte)unit : (byte)'?';
                at += 6;
                continue;
            }
            target[written++] = letter switch
            {
                (byte)'n' => (byte)'\n',
                (byte)'r' => (byte)'\r',
                (byte)'t' => (byte)'\t',
                (byte)'b' => (byte)'\b',
                (byte)'f' => (byte)'\f',
                _ => letter,
            };
            at += 2;
        }
        return target[..written];
    }

    /// <summary>The UTF-16 unit of the <c>\u</c> escape that starts at <paramref name="escape"/>.</summary>
    public static int CodeUnit(ReadOnlySpan<byte> text, int escape)
    {
        var unit = 0;
        for (var i = escape + 2; i < escape + 6; i++) unit = (unit << 4) | Digit(text[i]);
        return unit;
    }

    private static int Digit(byte letter) => letter <= (byte)'9' ? letter - '0' : (letter | 0x20) - 'a' + 10;
}

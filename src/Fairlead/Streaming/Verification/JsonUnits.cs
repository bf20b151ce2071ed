using System.Text;

namespace Fairlead.Streaming.Verification;

/// <summary>UTF-16 units in the inside of a JSON string, which is well-formed.</summary>
internal static class JsonUnits
{
    /// <summary>The unit of the escape that starts at <paramref name="at"/>.</summary>
    /// <param name="json">The string.</param>
    /// <param name="at">Where its backslash is.</param>
    /// <param name="length">Bytes of the escape.</param>
    public static int Escaped(ReadOnlySpan<byte> json, int at, out int length)
    {
        var letter = json[at + 1];
        if (letter == (byte)'u')
        {
            length = 6;
            return JsonEscapes.CodeUnit(json, at);
        }
        length = 2;
        return letter switch
        {
            (byte)'n' => '\n',
            (byte)'r' => '\r',
            (byte)'t' => '\t',
            (byte)'b' => '\b',
            (byte)'f' => '\f',
            _ => letter,
        };
    }

    /// <summary>The text of the string.</summary>
    public static string Decode(ReadOnlySpan<byte> json)
    {
        if (!json.Contains((byte)'\\')) return Encoding.UTF8.GetString(json);
        var text = new StringBuilder(json.Length);
        for (var i = 0; i < json.Length;)
        {
            if (json[i] == (byte)'\\')
            {
                text.Append((char)Escaped(json, i, out var length));
                i += length;
                continue;
            }
            var end = json[i..].IndexOf((byte)'\\');
            var plain = end < 0 ? json[i..] : json.Slice(i, end);
            text.Append(Encoding.UTF8.GetString(plain));
            i += plain.Length;
        }
        return text.ToString();
    }
}

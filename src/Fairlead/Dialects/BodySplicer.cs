using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>One change of a body: a range and its replacement. An empty range inserts, an empty replacement removes.</summary>
internal readonly record struct BodyEdit(ByteRange Range, ReadOnlyMemory<byte> Replacement);

/// <summary>Copies a body with a few ranges changed and everything else byte for byte.</summary>
internal static class BodySplicer
{
    /// <param name="body">The original.</param>
    /// <param name="edits">In any order; ranges inside the body that do not overlap. Sorted in place.</param>
    /// <param name="output">Receives the result.</param>
    /// <exception cref="ArgumentException">Ranges overlap or exceed the body.</exception>
    public static void Write(ReadOnlySpan<byte> body, Span<BodyEdit> edits, IBufferWriter<byte> output)
    {
        edits.Sort(static (a, b) => a.Range.Start.CompareTo(b.Range.Start));
        var position = 0;
        foreach (var edit in edits)
        {
            if (edit.Range.Start < position || edit.Range.Length < 0 || edit.Range.End > body.Length)
            {
                throw new ArgumentException("Edits overlap or leave the body.", nameof(edits));
            }
            output.Write(body[position..edit.Range.Start]);
            output.Write(edit.Replacement.Span);
            position = edit.Range.End;
        }
        output.Write(body[position..]);
    }

    /// <summary>
    /// The range that removes a member and keeps the object valid: from the start of its name to the end of its value,
    /// with the comma before it, or after it when it is the first.
    /// </summary>
    public static ByteRange MemberWithComma(ReadOnlySpan<byte> body, int nameStart, int valueEnd, bool isFirst)
    {
        var (start, end) = (nameStart, valueEnd);
        if (isFirst)
        {
            var after = end;
            while (after < body.Length && IsWhitespace(body[after])) after++;
            if (after < body.Length && body[after] == (byte)',') end = after + 1;
        }
        else
        {
            while (start > 0 && body[start] != (byte)',') start--;
        }
        return new ByteRange(start, end - start);
    }

    /// <summary>A JSON string literal of <paramref name="value"/>, quotes included.</summary>
    public static byte[] Quote(string value)
    {
        var plain = true;
        foreach (var c in value) plain &= c is >= ' ' and < (char)127 and not '"' and not '\\';
        if (plain)
        {
            var bytes = new byte[value.Length + 2];
            bytes[0] = bytes[^1] = (byte)'"';
            for (var i = 0; i < value.Length; i++) bytes[i + 1] = (byte)value[i];
            return bytes;
        }
        var buffer = new ArrayBufferWriter<byte>(value.Length + 16);
        var json = new JsonAppender(buffer);
        json.String(value);
        json.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    private static bool IsWhitespace(byte b) => b is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t';
}

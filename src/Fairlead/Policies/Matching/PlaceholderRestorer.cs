using System.Buffers;
using System.Text.Encodings.Web;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Restores placeholders in one channel of a stream, also those that are split between chunks. It holds back a possible beginning of a
/// placeholder, at most <see cref="MaxHeld"/> characters. In JSON, values are escaped. One owner at a time.
/// </summary>
internal sealed class PlaceholderRestorer(Placeholders placeholders, ChannelKind kind)
{
    /// <summary>Maximum characters that are held back: a placeholder and the quotes around it.</summary>
    public const int MaxHeld = PlaceholderText.Longest + 2;

    private readonly char[] _held = new char[MaxHeld];
    private int _length;

    /// <summary>Takes a chunk, and writes what can be read now.</summary>
    public void Push(ReadOnlySpan<char> text, IBufferWriter<char> output) => Restore(text, output, isFinal: false);

    /// <summary>Writes what was held back. The restorer can be used for another text after that.</summary>
    public void Complete(IBufferWriter<char> output) => Restore([], output, isFinal: true);

    private void Restore(ReadOnlySpan<char> text, IBufferWriter<char> output, bool isFinal)
    {
        if (_length > 0)
        {
            // What was held back and enough of the chunk to decide about it.
            Span<char> joined = stackalloc char[MaxHeld * 3];
            _held.AsSpan(0, _length).CopyTo(joined);
            var taken = Math.Min(text.Length, MaxHeld * 2);
            text[..taken].CopyTo(joined[_length..]);
            var all = joined[..(_length + taken)];
            var held = _length;
            var read = Write(all, held, output, isFinal && taken == text.Length);
            if (read < held)
            {
                all[read..].CopyTo(_held);
                _length = all.Length - read;
                return;
            }
            _length = 0;
            text = text[(read - held)..];
        }
        var rest = text[Write(text, text.Length, output, isFinal)..];
        rest.CopyTo(_held);
        _length = rest.Length;
    }

    /// <summary>Writes until a position is passed. Returns how much was read; less only if the rest may be the beginning of a placeholder.</summary>
    private int Write(ReadOnlySpan<char> text, int until, IBufferWriter<char> output, bool isFinal)
    {
        var read = 0;
        while (read < until)
        {
            var offset = kind == ChannelKind.Json ? text[read..].IndexOfAny('[', '"') : text[read..].IndexOf('[');
            var start = offset < 0 ? text.Length : read + offset;
            if (start >= until)
            {
                output.Write(text[read..until]);
                return until;
            }
            output.Write(text[read..start]);
            read = start;
            var isQuoted = text[start] == '"';
            var length = isQuoted && start + 1 == text.Length ? -1 : PlaceholderText.Measure(text[(isQuoted ? start + 1 : start)..]);
            if (isQuoted && length > 0 && start + 1 + length == text.Length) length = -1;
            if (length < 0 && !isFinal) return read;
            if (length > 0 && TryRestore(text[start..], length, isQuoted, output, out var replaced))
            {
                read += replaced;
                continue;
            }
            output.Write(text.Slice(read, 1));
            read++;
        }
        return read;
    }

    private bool TryRestore(ReadOnlySpan<char> text, int length, bool isQuoted, IBufferWriter<char> output, out int replaced)
    {
        replaced = 0;
        if (!placeholders.TryGetValue(text.Slice(isQuoted ? 1 : 0, length), out var found)) return false;
        if (isQuoted)
        {
            // The quote belongs to the placeholder only if this one stands for a number or literal.
            if (!found.IsBare || text.Length < length + 2 || text[length + 1] != '"') return false;
            output.Write(found.Value);
            replaced = length + 2;
            return true;
        }
        if (kind == ChannelKind.Json) output.Write(JavaScriptEncoder.UnsafeRelaxedJsonEscaping.Encode(found.Value));
        else output.Write(found.Value);
        replaced = length;
        return true;
    }
}

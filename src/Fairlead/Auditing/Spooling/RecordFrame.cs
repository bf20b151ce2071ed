using System.Buffers.Text;
using Fairlead.Conversation;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// Goes through a record along the text that always stands between its values. Whatever is not where it should be makes it fail, for good;
/// what it returns from then on is empty. Within a JSON string a quote is escaped, so no text of a client's can look like the frame.
/// </summary>
internal ref struct RecordFrame(ReadOnlyMemory<byte> record)
{
    private readonly ReadOnlyMemory<byte> _record = record;
    private readonly ReadOnlySpan<byte> _bytes = record.Span;
    private int _at;

    public bool Failed { get; private set; }

    public readonly bool StartsWith(scoped ReadOnlySpan<byte> text) => !Failed && _bytes[_at..].StartsWith(text);

    /// <summary>Past <paramref name="text"/>, which stands here.</summary>
    public void Skip(scoped ReadOnlySpan<byte> text)
    {
        if (StartsWith(text)) _at += text.Length;
        else Failed = true;
    }

    /// <summary>Past the next <paramref name="text"/>.</summary>
    public void SkipTo(scoped ReadOnlySpan<byte> text)
    {
        if (Failed) return;
        var found = _bytes[_at..].IndexOf(text);
        if (found < 0) Failed = true;
        else _at += found + text.Length;
    }

    /// <summary>The string whose frame, with the quote it begins with, stands here.</summary>
    public ReadOnlyMemory<byte> Text(scoped ReadOnlySpan<byte> frame)
    {
        Skip(frame);
        if (Failed) return default;
        var rest = _bytes[_at..];
        var end = rest.IndexOfAny((byte)'"', (byte)'\\');
        if (end < 0 || rest[end] != '"')
        {
            Failed = true;
            return default;
        }
        var text = _record.Slice(_at, end);
        _at += end + 1;
        return text;
    }

    /// <summary>The string that stands here, or null.</summary>
    public ReadOnlyMemory<byte>? TextOrNull()
    {
        if (StartsWith("\""u8)) return Text("\""u8);
        Skip("null"u8);
        return null;
    }

    public long Number(scoped ReadOnlySpan<byte> frame)
    {
        Skip(frame);
        if (Failed) return 0;
        if (Utf8Parser.TryParse(_bytes[_at..], out long value, out var used))
        {
            _at += used;
            return value;
        }
        Failed = true;
        return 0;
    }

    public decimal Money(scoped ReadOnlySpan<byte> frame)
    {
        Skip(frame);
        if (Failed) return 0;
        if (Utf8Parser.TryParse(_bytes[_at..], out decimal value, out var used))
        {
            _at += used;
            return value;
        }
        Failed = true;
        return 0;
    }
}

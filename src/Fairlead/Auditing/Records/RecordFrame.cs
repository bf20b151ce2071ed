using System.Buffers.Text;

namespace Fairlead.Auditing.Records;

/// <summary>
/// Scans a record along the fixed text between its values. An unexpected text makes it fail permanently; from then on it returns
/// empty values. Within a JSON string a quote is escaped, so no text of a client can look like the fixed text.
/// </summary>
internal ref struct RecordFrame(ReadOnlyMemory<byte> record)
{
    private readonly ReadOnlyMemory<byte> _record = record;
    private readonly ReadOnlySpan<byte> _bytes = record.Span;
    private int _at;

    public bool Failed { get; private set; }

    public readonly bool StartsWith(scoped ReadOnlySpan<byte> text) => !Failed && _bytes[_at..].StartsWith(text);

    /// <summary>Skips <paramref name="text"/>, which must be next.</summary>
    public void Skip(scoped ReadOnlySpan<byte> text)
    {
        if (StartsWith(text)) _at += text.Length;
        else Failed = true;
    }

    /// <summary>Skips to the end of the next <paramref name="text"/>.</summary>
    public void SkipTo(scoped ReadOnlySpan<byte> text)
    {
        if (Failed) return;
        var found = _bytes[_at..].IndexOf(text);
        if (found < 0) Failed = true;
        else _at += found + text.Length;
    }

    /// <summary>Reads the string after this fixed text.</summary>
    public ReadOnlyMemory<byte> Text(scoped ReadOnlySpan<byte> frame)
    {
        Skip(frame);
        Skip("\""u8);
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

    /// <summary>Reads the next string, or null.</summary>
    public ReadOnlyMemory<byte>? TextOrNull()
    {
        if (StartsWith("\""u8)) return Text(default);
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

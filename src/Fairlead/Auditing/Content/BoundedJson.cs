using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Writes JSON of a limited size and depth. Longer texts are cut, what follows is left out, and what is too deep becomes null, so that it is
/// valid in any case. Every token counts: brackets with the one that closes them, commas, and a value for each name. For one thread.
/// </summary>
/// <remarks>
/// After <see cref="Name"/>, a value always fits, if only as <c>null</c> or an empty text. In a list, a value that does not fit is not
/// written.
/// </remarks>
internal sealed class BoundedJson : IDisposable
{
    // A comma and the shortest value of each type: null, "", {} with the bracket that closes it.
    private const int ShortestElement = 5;

    // Quotes, colon and comma, and then null.
    private const int NameFrame = 8;

    private static readonly JsonWriterOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = RecordJson.MaxDepth,
        SkipValidation = true,
    };

    private readonly ArrayBufferWriter<byte> _bytes = new(1024);
    private readonly Utf8JsonWriter _json;
    private readonly int _maxBytes;
    private int _open;
    private bool _isNamed;

    /// <param name="maxBytes">Maximum bytes; below 16, an empty object or list may exceed it.</param>
    public BoundedJson(int maxBytes)
    {
        _maxBytes = maxBytes;
        _json = new Utf8JsonWriter(_bytes, Options);
    }

    /// <summary>Whether something was left out.</summary>
    public bool IsTruncated { get; private set; }

    /// <summary>Whether nothing more fits.</summary>
    public bool IsFull { get; private set; }

    /// <summary>What was written.</summary>
    public ReadOnlySpan<byte> Written
    {
        get
        {
            _json.Flush();
            return _bytes.WrittenSpan;
        }
    }

    // Each open object or list needs a byte for its end.
    private long Left => _maxBytes - _json.BytesCommitted - _json.BytesPending - _open;

    /// <summary>Starts an object. False if it does not fit or is too deep: then nothing of it may follow, nor its end.</summary>
    public bool StartObject()
    {
        if (!TryStart()) return false;
        _json.WriteStartObject();
        return true;
    }

    public void EndObject()
    {
        _open--;
        _json.WriteEndObject();
    }

    /// <summary>As <see cref="StartObject"/>, for a list.</summary>
    public bool StartArray()
    {
        if (!TryStart()) return false;
        _json.WriteStartArray();
        return true;
    }

    public void EndArray()
    {
        _open--;
        _json.WriteEndArray();
    }

    /// <summary>Writes a name; false if it does not fit, and then neither does its value.</summary>
    public bool Name(string name)
    {
        if (IsFull || !Fits((long)name.Length + NameFrame)) return false;
        var encoded = JsonEncodedText.Encode(WellFormed(name), Options.Encoder);
        if (!Fits((long)encoded.EncodedUtf8Bytes.Length + NameFrame)) return false;
        _json.WritePropertyName(encoded);
        _isNamed = true;
        return true;
    }

    public void Text(string? text)
    {
        if (text is null)
        {
            Null();
            return;
        }
        if (!TryValue(out var isNamed)) return;
        // Quotes, and a comma before an element.
        var room = (int)Math.Max(0, Left - (isNamed ? 2 : 3));
        // No character takes less than a byte.
        var cut = WellFormed(Cut(text, Math.Min(text.Length, room)));
        var isCut = cut.Length < text.Length;
        var encoded = JsonEncodedText.Encode(cut, Options.Encoder);
        while (encoded.EncodedUtf8Bytes.Length > room && cut.Length > 0)
        {
            cut = Cut(cut, Math.Min(cut.Length - 1, (int)((long)cut.Length * room / encoded.EncodedUtf8Bytes.Length)));
            isCut = true;
            encoded = JsonEncodedText.Encode(cut, Options.Encoder);
        }
        _json.WriteStringValue(encoded);
        if (isCut) IsTruncated = IsFull = true;
    }

    /// <summary>Writes a number, true, false or null as it was written.</summary>
    public void Raw(ReadOnlySpan<byte> value)
    {
        if (!TryValue(out var isNamed)) return;
        if (Fits((long)value.Length + (isNamed ? 0 : 1))) _json.WriteRawValue(value, skipInputValidation: true);
        else _json.WriteNullValue();
    }

    public void Null()
    {
        if (TryValue(out _)) _json.WriteNullValue();
    }

    /// <summary>Something is left out.</summary>
    public void Omit() => IsTruncated = true;

    public void Dispose() => _json.Dispose();

    private bool TryStart()
    {
        if (!TryValue(out _)) return false;
        if (_open == RecordJson.MaxContentDepth)
        {
            IsTruncated = true;
            _json.WriteNullValue();
            return false;
        }
        _open++;
        return true;
    }

    // Whether any value fits here. That of a name has its room since the name.
    private bool TryValue(out bool isNamed)
    {
        isNamed = _isNamed;
        _isNamed = false;
        return isNamed || _open == 0 || Fits(ShortestElement);
    }

    private bool Fits(long bytes)
    {
        if (bytes <= Left) return true;
        IsTruncated = IsFull = true;
        return false;
    }

    private static string Cut(string text, int length)
    {
        if (length >= text.Length) return text;
        if (length > 0 && char.IsHighSurrogate(text[length - 1])) length--;
        return text[..Math.Max(0, length)];
    }

    // Half of a surrogate pair is no text in UTF-8. A model or a client may send one as an escape.
    private static string WellFormed(string text)
    {
        var at = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF');
        if (at < 0) return text;
        char[]? repaired = null;
        for (; at < text.Length; at++)
        {
            if (!char.IsSurrogate(text[at])) continue;
            if (at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]))
            {
                at++;
                continue;
            }
            repaired ??= text.ToCharArray();
            repaired[at] = '\uFFFD';
        }
        return repaired is null ? text : new string(repaired);
    }
}

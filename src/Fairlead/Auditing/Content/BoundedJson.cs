using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Writes JSON up to a number of bytes: longer texts are cut, and what follows is left out, so that it is valid in any case. For one thread.
/// </summary>
internal sealed class BoundedJson : IDisposable
{
    private static readonly JsonWriterOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = 1100,
        SkipValidation = true,
    };

    private readonly ArrayBufferWriter<byte> _bytes = new(1024);
    private readonly Utf8JsonWriter _json;
    private readonly int _maxBytes;

    public BoundedJson(int maxBytes)
    {
        _maxBytes = maxBytes;
        _json = new Utf8JsonWriter(_bytes, Options);
    }

    /// <summary>Whether something was left out.</summary>
    public bool IsTruncated { get; private set; }

    /// <summary>Whether nothing more fits.</summary>
    public bool IsFull { get; private set; }

    /// <summary>What was written; the closing of objects and lists can exceed the maximum by a byte for each.</summary>
    public ReadOnlySpan<byte> Written
    {
        get
        {
            _json.Flush();
            return _bytes.WrittenSpan;
        }
    }

    private long Left => _maxBytes - _json.BytesCommitted - _json.BytesPending;

    public void StartObject() => _json.WriteStartObject();

    public void EndObject() => _json.WriteEndObject();

    public void StartArray() => _json.WriteStartArray();

    public void EndArray() => _json.WriteEndArray();

    /// <summary>Writes a name; false if it does not fit, and then neither does its value.</summary>
    public bool Name(string name)
    {
        if (IsFull || !Fits(name.Length + 8)) return false;
        var encoded = JsonEncodedText.Encode(name, Options.Encoder);
        if (!Fits(encoded.EncodedUtf8Bytes.Length + 8)) return false;
        _json.WritePropertyName(encoded);
        return true;
    }

    public void Text(string? text)
    {
        if (text is null)
        {
            _json.WriteNullValue();
            return;
        }
        var room = (int)Math.Max(0, Left - 4);
        // No character takes less than a byte.
        var cut = Cut(text, Math.Min(text.Length, room));
        var encoded = JsonEncodedText.Encode(cut, Options.Encoder);
        while (encoded.EncodedUtf8Bytes.Length > room && cut.Length > 0)
        {
            cut = Cut(cut, Math.Min(cut.Length - 1, (int)((long)cut.Length * room / encoded.EncodedUtf8Bytes.Length)));
            encoded = JsonEncodedText.Encode(cut, Options.Encoder);
        }
        _json.WriteStringValue(encoded);
        if (cut.Length < text.Length) IsTruncated = IsFull = true;
    }

    /// <summary>Writes a number, true, false or null as it was written.</summary>
    public void Raw(ReadOnlySpan<byte> value)
    {
        if (Fits(value.Length)) _json.WriteRawValue(value, skipInputValidation: true);
        else _json.WriteNullValue();
    }

    public void Null() => _json.WriteNullValue();

    /// <summary>Something is left out.</summary>
    public void Omit() => IsTruncated = true;

    public void Dispose() => _json.Dispose();

    private bool Fits(int bytes)
    {
        if (bytes <= Left) return true;
        IsTruncated = IsFull = true;
        return false;
    }

    private static ReadOnlySpan<char> CutSpan(ReadOnlySpan<char> text, int length) =>
        length > 0 && length < text.Length && char.IsHighSurrogate(text[length - 1]) ? text[..(length - 1)] : text[..length];

    private static string Cut(string text, int length) => length >= text.Length ? text : new string(CutSpan(text, Math.Max(0, length)));
}

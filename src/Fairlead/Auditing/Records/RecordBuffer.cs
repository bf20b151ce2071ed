using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Fairlead.Auditing.Records;

/// <summary>One thread's buffer and JSON writer, reused for every record of that thread. Must not be held across an await.</summary>
internal sealed class RecordBuffer
{
    // A buffer that one unusual record made large is released.
    private const int LargestKept = 64 * 1024;

    [ThreadStatic]
    private static RecordBuffer? _current;

    private ArrayBufferWriter<byte> _bytes = new(2048);
    private Utf8JsonWriter? _json;

    private RecordBuffer()
    {
    }

    /// <summary>For records of known form.</summary>
    public IBufferWriter<byte> Output => _bytes;

    /// <summary>For records that are combined from others.</summary>
    public Utf8JsonWriter Json => _json ??= new Utf8JsonWriter(_bytes, new JsonWriterOptions
    {
        // The names and their order are fixed; the encoder leaves letters readable and still escapes what JSON requires.
        SkipValidation = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    /// <summary>The empty buffer of this thread.</summary>
    public static RecordBuffer Rent()
    {
        var buffer = _current ??= new RecordBuffer();
        if (buffer._bytes.Capacity > LargestKept) buffer._bytes = new ArrayBufferWriter<byte>(2048);
        else buffer._bytes.ResetWrittenCount();
        buffer._json?.Reset(buffer._bytes);
        return buffer;
    }

    /// <summary>The record as written; valid until the thread's next <see cref="Rent"/>.</summary>
    public ReadOnlySpan<byte> Finish()
    {
        _json?.Flush();
        return _bytes.WrittenSpan;
    }
}

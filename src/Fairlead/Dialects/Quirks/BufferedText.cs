using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Memory;

namespace Fairlead.Dialects.Quirks;

/// <summary>
/// Text of a response that is kept while its stream runs, escaped as in JSON strings. Counted in the memory budget. Not thread-safe.
/// </summary>
/// <param name="memory">Counts it; null counts nothing.</param>
internal sealed class BufferedText(MemoryLease? memory)
{
    // A growing buffer is at most twice as large as its content.
    private const int Growth = 2;

    private ArrayBufferWriter<byte>? _raw;

    public bool IsEmpty => _raw is null || _raw.WrittenCount == 0;

    /// <summary>Adds the content of a JSON string with its escapes.</summary>
    /// <exception cref="MemoryExhaustedException">It exceeds the memory budget.</exception>
    public void AppendRaw(ReadOnlySpan<byte> raw)
    {
        if (raw.IsEmpty) return;
        if (memory?.TryTake(raw.Length * Growth) == false) throw new MemoryExhaustedException(MemoryBudget.Overloaded);
        (_raw ??= new ArrayBufferWriter<byte>(256)).Write(raw);
    }

    public void Append(string text)
    {
        if (text.Length > 0)
        {
            AppendRaw(JsonEncodedText.Encode(text, System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes);
        }
    }

    public override string ToString()
    {
        if (_raw is null) return "";
        var quoted = new byte[_raw.WrittenCount + 2];
        quoted[0] = quoted[^1] = (byte)'"';
        _raw.WrittenSpan.CopyTo(quoted.AsSpan(1));
        var reader = new Utf8JsonReader(quoted);
        return reader.Read() ? reader.GetString()! : Encoding.UTF8.GetString(_raw.WrittenSpan);
    }

    public void Clear()
    {
        if (_raw is null) return;
        memory?.Return(_raw.WrittenCount * Growth);
        _raw = null;
    }
}

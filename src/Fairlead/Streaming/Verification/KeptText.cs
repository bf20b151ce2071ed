using System.Buffers;
using System.Text;
using Fairlead.Memory;

namespace Fairlead.Streaming.Verification;

/// <summary>
/// The text that a stream has sent, while it consists of text only, for a model that can continue it. Its bytes are counted in the memory
/// budget; without room it is dropped. One owner; not thread-safe.
/// </summary>
internal sealed class KeptText(MemoryBudget? budget) : IDisposable
{
    private PooledBuffer? _buffer;
    private bool _isDropped;

    /// <summary>The text; null if there is none, or if it is not the whole output.</summary>
    public string? Text => _isDropped || _buffer is null ? null : Encoding.UTF8.GetString(_buffer.WrittenSpan);

    /// <summary>Whether there is any.</summary>
    public bool HasText => !_isDropped && _buffer is not null;

    /// <summary>Adds text. Halves of a character cannot be kept.</summary>
    public void Add(ReadOnlySpan<char> text)
    {
        if (_isDropped || text.Length == 0) return;
        if (char.IsLowSurrogate(text[0]) || char.IsHighSurrogate(text[^1]))
        {
            Drop();
            return;
        }
        Span<byte> bytes = text.Length <= 256 ? stackalloc byte[768] : new byte[text.Length * 3];
        Write(bytes[..Encoding.UTF8.GetBytes(text, bytes)]);
    }

    /// <summary>Adds the inside of a JSON string in its escaped form.</summary>
    public void AddJson(ReadOnlySpan<byte> json)
    {
        if (_isDropped || json.IsEmpty) return;
        if (json.Contains((byte)'\\')) Add(JsonUnits.Decode(json));
        else Write(json);
    }

    /// <summary>Keeps nothing any more: the output is not only text.</summary>
    public void Drop()
    {
        _isDropped = true;
        _buffer?.Dispose();
        _buffer = null;
    }

    public void Dispose() => Drop();

    private void Write(ReadOnlySpan<byte> bytes)
    {
        try
        {
            (_buffer ??= new PooledBuffer(1024, budget)).Write(bytes);
        }
        catch (MemoryExhaustedException)
        {
            Drop();
        }
    }
}

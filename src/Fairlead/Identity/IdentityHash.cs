using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Identity;

/// <summary>
/// SHA-256 of a sequence of values. Each value has a tag, and a length if it is a text, so different sequences never have the same bytes.
/// Short sequences are hashed in one step. One owner, who disposes it.
/// </summary>
internal sealed class IdentityHash : IDisposable
{
    private const int BufferBytes = 512;

    private readonly byte[] _buffer = new byte[BufferBytes];
    private IncrementalHash? _hash;
    private bool _isLong;
    private int _length;

    /// <summary>Adds a text; null differs from an empty one.</summary>
    public void Add(string? text)
    {
        if (text is null)
        {
            Tag((byte)'n');
            return;
        }
        var length = Encoding.UTF8.GetByteCount(text);
        if (length <= BufferBytes)
        {
            Span<byte> bytes = stackalloc byte[length];
            Encoding.UTF8.GetBytes(text, bytes);
            Add(bytes);
            return;
        }
        Add(Encoding.UTF8.GetBytes(text));
    }

    /// <summary>Adds a text in UTF-8, or any bytes.</summary>
    public void Add(scoped ReadOnlySpan<byte> text)
    {
        Tag((byte)'s');
        Length(text.Length);
        Raw(text);
    }

    /// <summary>Adds a number; null differs from every number.</summary>
    public void Add(long? number)
    {
        if (number is not { } value)
        {
            Tag((byte)'n');
            return;
        }
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        Tag((byte)'i');
        Raw(bytes);
    }

    /// <summary>Adds yes or no.</summary>
    public void Add(bool value) => Tag(value ? (byte)'t' : (byte)'f');

    /// <summary>Adds another identity.</summary>
    public void Add(in IdentityKey key)
    {
        Span<byte> bytes = stackalloc byte[IdentityKey.Size];
        key.CopyTo(bytes);
        Tag((byte)'k');
        Raw(bytes);
    }

    /// <summary>Adds a tag or a delimiter.</summary>
    public void Tag(byte tag) => Raw([tag]);

    /// <summary>Adds a number of bytes or of members.</summary>
    public void Length(int length)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, length);
        Raw(bytes);
    }

    /// <summary>The identity of everything that was added. The hash is empty after that.</summary>
    public IdentityKey Finish()
    {
        Span<byte> result = stackalloc byte[IdentityKey.Size];
        if (_isLong)
        {
            _hash!.AppendData(_buffer, 0, _length);
            _hash.GetHashAndReset(result);
        }
        else
        {
            SHA256.HashData(_buffer.AsSpan(0, _length), result);
        }
        _length = 0;
        _isLong = false;
        return IdentityKey.Of(result);
    }

    public void Dispose() => _hash?.Dispose();

    private void Raw(scoped ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > BufferBytes - _length)
        {
            _hash ??= IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            _isLong = true;
            _hash.AppendData(_buffer, 0, _length);
            _length = 0;
            if (bytes.Length > BufferBytes)
            {
                _hash.AppendData(bytes);
                return;
            }
        }
        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
    }
}

using System.Buffers;

namespace Fairlead.Streaming;

/// <summary>
/// A growing buffer on rented arrays. One owner, who disposes it once; memory taken from it is valid until then or until the next write.
/// </summary>
internal sealed class PooledBuffer : IBufferWriter<byte>, IDisposable
{
    private byte[] _array;
    private int _start;
    private int _end;

    public PooledBuffer(int capacity = 4096) => _array = ArrayPool<byte>.Shared.Rent(capacity);

    public int Length => _end - _start;

    public ReadOnlyMemory<byte> WrittenMemory => _array.AsMemory(_start, _end - _start);

    public ReadOnlySpan<byte> WrittenSpan => _array.AsSpan(_start, _end - _start);

    public Span<byte> MutableSpan => _array.AsSpan(_start, _end - _start);

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)(_array.Length - _end));
        _end += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Ensure(sizeHint);
        return _array.AsMemory(_end);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Ensure(sizeHint);
        return _array.AsSpan(_end);
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        Ensure(bytes.Length);
        bytes.CopyTo(_array.AsSpan(_end));
        _end += bytes.Length;
    }

    /// <summary>Forgets the first <paramref name="count"/> bytes.</summary>
    public void Consume(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)Length);
        _start += count;
        if (_start == _end) _start = _end = 0;
    }

    public void Clear() => _start = _end = 0;

    /// <summary>Shortens to <paramref name="length"/> bytes.</summary>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)Length);
        _end = _start + length;
    }

    public void Dispose()
    {
        var array = Interlocked.Exchange(ref _array, []);
        _start = _end = 0;
        if (array.Length > 0) ArrayPool<byte>.Shared.Return(array);
    }

    private void Ensure(int sizeHint)
    {
        if (sizeHint < 1) sizeHint = 256;
        if (_array.Length - _end >= sizeHint) return;
        var length = Length;
        if (_start > 0 && _array.Length - length >= sizeHint)
        {
            Buffer.BlockCopy(_array, _start, _array, 0, length);
        }
        else
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(_array.Length * 2, length + sizeHint));
            Buffer.BlockCopy(_array, _start, larger, 0, length);
            if (_array.Length > 0) ArrayPool<byte>.Shared.Return(_array);
            _array = larger;
        }
        _start = 0;
        _end = length;
    }
}

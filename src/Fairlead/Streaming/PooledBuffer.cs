using System.Buffers;
using Fairlead.Memory;

namespace Fairlead.Streaming;

/// <summary>
/// A growing buffer on rented arrays. One owner, who disposes it once; its memory is valid until then or until the next write. With a
/// budget, it counts its memory there.
/// </summary>
internal sealed class PooledBuffer : IBufferWriter<byte>, IDisposable
{
    /// <summary>Larger arrays are left to the garbage collector: a pool would keep them, and rounds them up to powers of two.</summary>
    public const int LargestPooled = 1024 * 1024;

    private readonly MemoryBudget? _budget;
    private readonly int _uncounted;
    private readonly int _factor;
    private readonly bool _isNeverRefused;
    private byte[] _array = [];
    private bool _isRented;
    private bool _isShared;
    private int _start;
    private int _end;
    private long _counted;

    /// <param name="capacity">Initial capacity.</param>
    /// <param name="budget">Counts its memory; null for none.</param>
    /// <param name="uncounted">Bytes that are not counted, for a buffer that is almost always small.</param>
    /// <param name="factor">How often a byte counts, for content that is copied on its way.</param>
    /// <param name="neverRefused">It is counted, but never refused: it contains what is paid for.</param>
    /// <exception cref="MemoryExhaustedException">The budget does not have enough memory.</exception>
    public PooledBuffer(int capacity = 4096, MemoryBudget? budget = null, int uncounted = 0, int factor = 1, bool neverRefused = false)
    {
        _budget = budget;
        _uncounted = uncounted;
        _factor = factor;
        _isNeverRefused = neverRefused;
        _array = Rent(capacity);
        _isRented = _array.Length <= LargestPooled;
    }

    private PooledBuffer(byte[] content, MemoryBudget? budget, bool neverRefused)
    {
        _budget = budget;
        _factor = 1;
        _isNeverRefused = neverRefused;
        if (budget is not null) Grow(0, content.Length);
        _array = content;
        _end = content.Length;
        _isShared = true;
    }

    /// <summary>A buffer with <paramref name="content"/>, which is not copied. A later write goes to an array of its own.</summary>
    /// <exception cref="MemoryExhaustedException">The budget does not have enough memory.</exception>
    public static PooledBuffer Of(byte[] content, MemoryBudget? budget = null, bool neverRefused = false) =>
        new(content, budget, neverRefused);

    /// <summary>
    /// The content, for another owner. Not a copy if the buffer contains exactly this and never returns it to a pool; then neither may
    /// change it.
    /// </summary>
    public byte[] ToSharedArray() => !_isRented && _start == 0 && _end == _array.Length ? _array : WrittenSpan.ToArray();

    /// <summary>The probable final length: it grows to that instead of beyond it.</summary>
    public int Expected { get; set; }

    public int Length => _end - _start;

    /// <summary>Where the content starts in the memory of the buffer. Valid for <see cref="At"/> until the next write.</summary>
    public int Start => _start;

    /// <summary>Memory of the buffer, including what was consumed, until the next write.</summary>
    public ReadOnlyMemory<byte> At(int start, int length) => _array.AsMemory(start, length);

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

    /// <summary>Drops the first <paramref name="count"/> bytes.</summary>
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

    /// <summary>Counts <paramref name="bytes"/> more, which another component holds as long as this buffer exists.</summary>
    /// <exception cref="MemoryExhaustedException">The budget does not have enough memory.</exception>
    public void Count(long bytes)
    {
        if (_budget is null) return;
        if (_isNeverRefused) _budget.Take(bytes);
        else if (!_budget.TryTake(bytes, Volatile.Read(ref _counted) + bytes)) throw new MemoryExhaustedException(MemoryBudget.Overloaded);
        Interlocked.Add(ref _counted, bytes);
    }

    /// <summary>Counts <paramref name="bytes"/> less.</summary>
    public void Uncount(long bytes)
    {
        if (_budget is null) return;
        Interlocked.Add(ref _counted, -bytes);
        _budget.Return(bytes);
    }

    public void Dispose()
    {
        var array = Interlocked.Exchange(ref _array, []);
        _start = _end = 0;
        if (_isRented) Return(array);
        if (_budget is not null && Interlocked.Exchange(ref _counted, 0) is not 0 and var counted) _budget.Return(counted);
    }

    private byte[] Rent(int length)
    {
        if (length <= LargestPooled)
        {
            // Counted first, as what the pool will return: the next power of two.
            if (_budget is not null) Grow(_array.Length, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, length)));
            return ArrayPool<byte>.Shared.Rent(length);
        }
        if (_budget is not null) Grow(_array.Length, length);
        return GC.AllocateUninitializedArray<byte>(length);
    }

    private void Grow(int from, int to)
    {
        var more = ((long)Math.Max(0, to - _uncounted) - Math.Max(0, from - _uncounted)) * _factor;
        if (more > 0) Count(more);
    }

    private static void Return(byte[] array)
    {
        if (array.Length is > 0 and <= LargestPooled) ArrayPool<byte>.Shared.Return(array);
    }

    private void Ensure(int sizeHint)
    {
        if (sizeHint < 1) sizeHint = 256;
        if (!_isShared && _array.Length - _end >= sizeHint) return;
        var length = Length;
        if (!_isShared && _start > 0 && _array.Length - length >= sizeHint)
        {
            Buffer.BlockCopy(_array, _start, _array, 0, length);
        }
        else
        {
            var needed = checked(length + sizeHint);
            var wanted = (int)Math.Min((long)_array.Length * 2, Array.MaxLength);
            if (wanted > Expected && Expected >= needed) wanted = Expected;
            var larger = Rent(Math.Max(wanted, needed));
            Buffer.BlockCopy(_array, _start, larger, 0, length);
            if (_isRented) Return(_array);
            _array = larger;
            _isRented = larger.Length <= LargestPooled;
            _isShared = false;
        }
        _start = 0;
        _end = length;
    }
}

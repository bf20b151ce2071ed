using System.Diagnostics.CodeAnalysis;

namespace Fairlead.Auditing.Blocks;

/// <summary>One property of the records of a block: its distinct values, and which record has which. For one thread.</summary>
internal sealed class TermColumn
{
    private readonly Dictionary<byte[], int> _numbers = new(Utf8Comparer.Instance);
    private readonly List<byte[]> _values = [];
    private readonly ushort[] _records = new ushort[BlockBuilder.MaxRecords];
    private int _count;

    public void Clear()
    {
        _numbers.Clear();
        _values.Clear();
        _count = 0;
    }

    public void Add(ReadOnlySpan<byte> value)
    {
        // Neighbours mostly have the same.
        var number = _count > 0 && _values[_records[_count - 1]].AsSpan().SequenceEqual(value) ? _records[_count - 1] : NumberOf(value);
        _records[_count++] = (ushort)number;
    }

    public void Write(BlockBytes output)
    {
        output.Number((ulong)_values.Count);
        foreach (var value in _values)
        {
            output.Number((ulong)value.Length);
            output.Bytes(value);
        }
        if (_values.Count <= 1) return;
        foreach (var number in _records.AsSpan(0, _count))
        {
            if (_values.Count <= 256) output.Byte((byte)number);
            else output.UInt16(number);
        }
    }

    private int NumberOf(ReadOnlySpan<byte> value)
    {
        var lookup = _numbers.GetAlternateLookup<ReadOnlySpan<byte>>();
        if (lookup.TryGetValue(value, out var number)) return number;
        number = _values.Count;
        var own = value.ToArray();
        _values.Add(own);
        _numbers[own] = number;
        return number;
    }

    private sealed class Utf8Comparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly Utf8Comparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}

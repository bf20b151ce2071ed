using System.Buffers.Binary;
using Fairlead.Auditing.Spooling;

namespace Fairlead.Auditing.Blocks;

/// <summary>
/// The index of a block: of each record its time, the hash of its id, and the number of each of its <see cref="BlockTerm"/>s in the list of
/// the block's distinct values. It decides for nearly every record whether it matches, without reading the records. Immutable.
/// </summary>
internal sealed class BlockTerms
{
    public static readonly BlockTerm[] All = Enum.GetValues<BlockTerm>();

    /// <summary>The properties that every index has. One of an earlier version lacks those that were added since.</summary>
    public const int FirstColumns = 9;

    /// <summary>Maximum labels of a record: its end user and its metadata. Readers of requests allow no more than 16 pairs.</summary>
    private const int MaxLabels = 1 + 16;

    private readonly byte[] _bytes;
    private readonly long[] _times;
    private readonly int _generationsAt;
    private readonly List<(int Index, uint Hash)> _requests;
    private readonly List<Range>[] _values;
    private readonly int[] _numbersAt;
    private readonly int _costsAt;

    /// <exception cref="BlockFormatException">The bytes are not those of an index.</exception>
    public BlockTerms(byte[] bytes)
    {
        _bytes = bytes;
        var cursor = new BlockCursor(bytes);
        Version = cursor.Byte();
        if (Version is 0 or > TermsBuilder.Version) throw new BlockFormatException("The index has an unknown version.");
        Count = cursor.Count(BlockBuilder.MaxRecords);
        MaxCostPicoUsd = cursor.Int64();
        _times = new long[Count];
        var time = 0L;
        for (var i = 0; i < Count; i++) _times[i] = time += cursor.Signed();
        _generationsAt = cursor.Position;
        cursor.Bytes(4 * Count);
        _requests = [];
        for (var left = cursor.Count(Count); left > 0; left--) _requests.Add((cursor.Count(Count - 1), cursor.UInt32()));
        var columns = cursor.Count(64);
        if (columns < FirstColumns) throw new BlockFormatException("The index lacks a property.");
        _values = new List<Range>[columns];
        _numbersAt = new int[columns];
        for (var column = 0; column < columns; column++)
        {
            var distinct = cursor.Count(BlockBuilder.MaxRecords);
            var values = _values[column] = new List<Range>(distinct);
            for (var i = 0; i < distinct; i++)
            {
                var length = cursor.Count(bytes.Length);
                values.Add(new Range(cursor.Position, cursor.Position + length));
                cursor.Bytes(length);
            }
            _numbersAt[column] = cursor.Position;
            if (distinct > 1) cursor.Bytes(distinct <= 256 ? Count : 2 * Count);
        }
        _costsAt = cursor.Position;
    }

    public static ReadOnlySpan<byte> GenerationType => "generation"u8;

    public static ReadOnlySpan<byte> AdministrationType => "admin"u8;

    /// <summary>Version of its format.</summary>
    public byte Version { get; }

    /// <summary>How many properties it has: those of the version that wrote it.</summary>
    public int Columns => _values.Length;

    public int Count { get; }

    /// <summary>The highest cost of one record.</summary>
    public long MaxCostPicoUsd { get; }

    /// <summary>Milliseconds since 1970.</summary>
    public long TimeOf(int record) => _times[record];

    /// <summary>Whether the record was removed, so that only its time is known.</summary>
    public bool IsRemoved(int record)
    {
        var values = _values[(int)BlockTerm.Type];
        var numbers = _bytes.AsSpan(_numbersAt[(int)BlockTerm.Type]);
        var number = values.Count == 1 ? 0 : values.Count <= 256 ? numbers[record] : numbers[2 * record] | (numbers[(2 * record) + 1] << 8);
        return number >= values.Count || _bytes.AsSpan(values[number]).IsEmpty;
    }

    /// <summary>Whether a record of this time was removed.</summary>
    public bool HasRemovedAt(long time)
    {
        for (var i = Array.IndexOf(_times, time); i >= 0; i = Array.IndexOf(_times, time, i + 1))
        {
            if (IsRemoved(i)) return true;
        }
        return false;
    }

    /// <summary>Removes from <paramref name="matches"/> the records that do not have the value.</summary>
    public void Require(BlockTerm term, ReadOnlySpan<byte> value, Span<bool> matches)
    {
        var values = (int)term < _values.Length ? _values[(int)term] : [];
        var number = 0;
        while (number < values.Count && !_bytes.AsSpan(values[number]).SequenceEqual(value)) number++;
        if (number == values.Count)
        {
            matches.Clear();
            return;
        }
        if (values.Count == 1) return;
        var numbers = _bytes.AsSpan(_numbersAt[(int)term]);
        for (var i = 0; i < matches.Length; i++)
        {
            var found = values.Count <= 256 ? numbers[i] : numbers[2 * i] | (numbers[(2 * i) + 1] << 8);
            if (found != number) matches[i] = false;
        }
    }

    /// <summary>Removes from <paramref name="matches"/> the records that have none of the values.</summary>
    public void RequireAny(BlockTerm term, IReadOnlyList<byte[]> values, Span<bool> matches)
    {
        Span<bool> any = stackalloc bool[matches.Length];
        Span<bool> one = stackalloc bool[matches.Length];
        any.Clear();
        foreach (var value in values)
        {
            one.Fill(true);
            Require(term, value, one);
            for (var i = 0; i < any.Length; i++) any[i] |= one[i];
        }
        for (var i = 0; i < matches.Length; i++) matches[i] &= any[i];
    }

    /// <summary>Removes the records that certainly are not of the generation. A few others may remain.</summary>
    public void RequireGeneration(uint hash, Span<bool> matches)
    {
        for (var i = 0; i < matches.Length; i++) matches[i] &= HashOf(i) == hash;
    }

    /// <summary>Removes the records that certainly are of none of the generations. A few others may remain.</summary>
    public void RequireAnyGeneration(ReadOnlySpan<uint> hashes, Span<bool> matches)
    {
        for (var i = 0; i < matches.Length; i++) matches[i] = matches[i] && hashes.Contains(HashOf(i));
    }

    /// <summary>Removes the records that certainly are not of the request. A few others may remain.</summary>
    public void RequireRequest(uint hash, Span<bool> matches)
    {
        Span<bool> found = stackalloc bool[matches.Length];
        for (var i = 0; i < found.Length; i++) found[i] = HashOf(i) == hash;
        foreach (var (index, other) in _requests) found[index] = other == hash;
        for (var i = 0; i < matches.Length; i++) matches[i] &= found[i];
    }

    /// <summary>Removes the records that cost less.</summary>
    /// <exception cref="BlockFormatException">The bytes are not those of an index.</exception>
    public void RequireCost(long minPicoUsd, Span<bool> matches)
    {
        if (minPicoUsd <= 0) return;
        if (MaxCostPicoUsd < minPicoUsd)
        {
            matches.Clear();
            return;
        }
        var cursor = new BlockCursor(_bytes.AsSpan(_costsAt));
        var unit = cursor.Number();
        for (var i = 0; i < matches.Length; i++) matches[i] &= unit != 0 && cursor.Number() * unit >= (ulong)minPicoUsd;
    }

    /// <summary>
    /// Removes the records that certainly have not all of the labels, of which these are <see cref="LabelHash"/>es. A few others may remain.
    /// </summary>
    /// <exception cref="BlockFormatException">The bytes are not those of an index.</exception>
    public void RequireLabels(ReadOnlySpan<uint> hashes, Span<bool> matches)
    {
        Span<uint> found = stackalloc uint[matches.Length];
        found.Clear();
        var cursor = new BlockCursor(_bytes.AsSpan(_costsAt));
        if (cursor.Number() != 0)
        {
            for (var i = 0; i < Count; i++) cursor.Number();
        }
        var index = 0;
        for (var left = cursor.Count(Count * MaxLabels); left > 0; left--)
        {
            index += cursor.Count(Count - 1);
            if (index >= Count) throw new BlockFormatException("A number is too large.");
            var bit = hashes.IndexOf(cursor.UInt32());
            if (bit >= 0) found[index] |= 1u << bit;
        }
        // Two conditions may have the same hash; the first one stands for both.
        var all = 0u;
        foreach (var hash in hashes) all |= 1u << hashes.IndexOf(hash);
        for (var i = 0; i < matches.Length; i++) matches[i] &= found[i] == all;
    }

    /// <summary>Whether a record may be of the generation or request.</summary>
    public bool MayHave(uint hash)
    {
        for (var i = 0; i < Count; i++)
        {
            if (HashOf(i) == hash) return true;
        }
        return _requests.Exists(request => request.Hash == hash);
    }

    /// <summary>The hash of an id without its prefix, so that a generation and the request that created it have the same.</summary>
    public static uint HashOf(ReadOnlySpan<byte> id)
    {
        var prefix = id.IndexOf((byte)'_');
        return Crc32C.Append(0, id[(prefix + 1)..]);
    }

    private uint HashOf(int record) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(_generationsAt + (4 * record)));
}

using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Blocks;

/// <summary>
/// The records of a block. Its bytes are: the version, the number of records, for each its length, kind and the first four bytes of its
/// content hash; then all records as one Brotli stream. Of a removed record, the reason and its whole content hash are there. Immutable.
/// </summary>
internal sealed class AuditBlock
{
    private readonly BlockTerms _terms;
    private readonly Entry[] _entries;
    private readonly byte[] _records;

    private AuditBlock(BlockRow row, BlockTerms terms, Entry[] entries, byte[] records) =>
        (Row, _terms, _entries, _records) = (row, terms, entries, records);

    public BlockRow Row { get; }

    /// <summary>Its index.</summary>
    public BlockTerms Terms => _terms;

    public int Count => _entries.Length;

    /// <exception cref="BlockFormatException">The bytes are not those of a block.</exception>
    public static AuditBlock Read(BlockRow row)
    {
        var terms = new BlockTerms(row.Terms);
        var cursor = new BlockCursor(row.Data);
        if (cursor.Byte() != BlockBuilder.Version) throw new BlockFormatException("The block has an unknown version.");
        var entries = new Entry[cursor.Count(BlockBuilder.MaxRecords)];
        if (entries.Length != terms.Count || entries.Length != row.Records)
            throw new BlockFormatException("The block, its index and its row differ in the number of records.");
        var total = 0L;
        for (var i = 0; i < entries.Length; i++)
        {
            var head = cursor.Number();
            var (length, kind) = ((long)(head >> 2) - 1, (AuditRecordKind)(head & 3));
            if (length < 0)
            {
                var reason = (RemovalReason)cursor.Byte();
                entries[i] = new Entry(0, 0, kind, reason, 0, cursor.Bytes(ChainHash.Bytes).ToArray());
                continue;
            }
            if (length > BlockBuilder.MaxBytes || total + length > 2 * BlockBuilder.MaxBytes)
                throw new BlockFormatException("A length is too large.");
            entries[i] = new Entry((int)total, (int)length, kind, 0, cursor.UInt32(), null);
            total += length;
        }
        var records = new byte[total];
        if (total > 0 && (!BrotliDecoder.TryDecompress(cursor.Rest, records, out var written) || written != total))
            throw new BlockFormatException("The records cannot be decompressed.");
        return new AuditBlock(row, terms, entries, records);
    }

    public long SequenceOf(int index) => Row.FirstSequence + index;

    public long TimeOf(int index) => _terms.TimeOf(index);

    public AuditRecordKind KindOf(int index) => _entries[index].Kind;

    /// <summary>Why the record is no longer there; null if it is.</summary>
    public RemovalReason? RemovedFor(int index) => _entries[index].Content is null ? null : _entries[index].Reason;

    /// <summary>The record as it was written; empty if it was removed.</summary>
    public ReadOnlyMemory<byte> RecordOf(int index) => _records.AsMemory(_entries[index].Start, _entries[index].Length);

    /// <summary>Its fields; null if it was removed or is damaged.</summary>
    public ShippedCall? CallOf(int index) =>
        RemovedFor(index) is null ? ShippedCall.Read(RecordOf(index), SequenceOf(index), KindOf(index)) : null;

    /// <summary>Whether a record has the id.</summary>
    public bool Has(ReadOnlySpan<byte> id)
    {
        for (var i = 0; i < Count; i++)
        {
            if (CallOf(i) is { } known && known.Id.Span.SequenceEqual(id)) return true;
        }
        return false;
    }

    /// <summary>Whether a record of this time and content hash was removed.</summary>
    public bool HadContent(long at, ReadOnlySpan<byte> contentHash)
    {
        for (var i = 0; i < Count; i++)
        {
            if (TimeOf(i) == at && _entries[i].Content is { } removed && contentHash.SequenceEqual(removed)) return true;
        }
        return false;
    }

    /// <summary>Whether the record has its content hash, as far as the block has that.</summary>
    public bool HasItsContent(int index)
    {
        var entry = _entries[index];
        return entry.Content is not null || BinaryPrimitives.ReadUInt32LittleEndian(ContentHashOf(index)) == entry.Check;
    }

    public byte[] ContentHashOf(int index) => _entries[index].Content ?? SHA256.HashData(RecordOf(index).Span);

    /// <summary>The links of all records, as <see cref="ChainHash"/> covers them.</summary>
    public byte[] Links()
    {
        var links = new byte[Count * ChainHash.LinkBytes];
        for (var i = 0; i < Count; i++)
            ChainHash.WriteLink(links.AsSpan(i * ChainHash.LinkBytes), SequenceOf(i), TimeOf(i), KindOf(i), ContentHashOf(i));
        return links;
    }

    private readonly record struct Entry(int Start, int Length, AuditRecordKind Kind, RemovalReason Reason, uint Check, byte[]? Content);
}

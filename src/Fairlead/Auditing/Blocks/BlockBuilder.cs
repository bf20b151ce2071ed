using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Blocks;

/// <summary>
/// Collects the records of one block: consecutive ones of a node's chain. A block stays open for further records while it has few. It can
/// be written several times, each time with all its records. For one thread.
/// </summary>
internal sealed class BlockBuilder
{
    /// <summary>
    /// Maximum records of a block. Reading one record decompresses its whole block (1.5 ms); the index of a million records is read from
    /// two thousand rows.
    /// </summary>
    public const int MaxRecords = 512;

    /// <summary>A block with fewer records is written again with the next ones: about 20 KB, a page or two of the database.</summary>
    public const int OpenRecords = 128;

    /// <summary>Bytes of records after which a block gets no more.</summary>
    public const int MaxBytes = 2 * 1024 * 1024;

    public const byte Version = 1;

    // The lowest is four times as fast as the next and saves nearly as much: records of a block are alike.
    private const int Quality = 0;
    private const int WindowBits = 22;

    private readonly TermsBuilder _terms = new();
    private readonly BlockBytes _head = new();
    private readonly int[] _lengths = new int[MaxRecords];
    private readonly AuditRecordKind[] _kinds = new AuditRecordKind[MaxRecords];
    private readonly RemovalReason[] _removed = new RemovalReason[MaxRecords];
    private readonly byte[] _links = new byte[MaxRecords * ChainHash.LinkBytes];
    private byte[] _records = new byte[64 * 1024];
    private byte[] _compressed = [];
    private string _node = "";
    private byte[] _previousHash = [];
    private int _recordBytes;
    private int _removedCount;
    private long _firstAt;
    private long _lastAt;

    public int Count { get; private set; }

    public long FirstSequence { get; private set; }

    /// <summary>The key of its row; 0 if it has none yet.</summary>
    public long Number { get; set; }

    public string Node => _node;

    public bool IsFull => Count >= MaxRecords || _recordBytes >= MaxBytes;

    /// <summary>Whether it was written with few records, so that the next ones belong to it.</summary>
    public bool IsOpen => Count < OpenRecords && _recordBytes < MaxBytes / 4;

    public bool HasRemoved => _removedCount > 0;

    /// <summary>Makes it an empty block.</summary>
    public void Begin(string node, long firstSequence, byte[] previousHash)
    {
        _node = node;
        FirstSequence = firstSequence;
        _previousHash = previousHash;
        _terms.Clear();
        Count = _recordBytes = _removedCount = 0;
        Number = 0;
        (_firstAt, _lastAt) = (long.MaxValue, long.MinValue);
    }

    public void Add(ShippedCall call)
    {
        var record = call.Record.Span;
        if (_records.Length - _recordBytes < record.Length)
            Array.Resize(ref _records, Math.Max(_recordBytes + record.Length, _records.Length * 2));
        record.CopyTo(_records.AsSpan(_recordBytes));
        _recordBytes += record.Length;
        Span<byte> content = stackalloc byte[ChainHash.Bytes];
        SHA256.HashData(record, content);
        _lengths[Count] = record.Length;
        _removed[Count] = 0;
        _terms.Add(call);
        AddLink(call.At, call.Kind, content);
    }

    /// <summary>Adds the link of a record that was removed.</summary>
    public void AddRemoved(long at, AuditRecordKind kind, ReadOnlySpan<byte> content, RemovalReason reason)
    {
        _lengths[Count] = -1;
        _removed[Count] = reason;
        _removedCount++;
        _terms.AddRemoved(at);
        AddLink(at, kind, content);
    }

    /// <summary>The hash of its last record.</summary>
    public byte[] Hash() => ChainHash.Of(_previousHash, _links.AsSpan(0, Count * ChainHash.LinkBytes));

    public BlockRow ToRow() => new()
    {
        Number = Number,
        Node = _node,
        FirstSequence = FirstSequence,
        Records = Count,
        FirstAt = _firstAt,
        LastAt = _lastAt,
        PreviousHash = _previousHash,
        Hash = Hash(),
        Terms = _terms.ToBytes(),
        Data = Compress(),
    };

    private void AddLink(long at, AuditRecordKind kind, ReadOnlySpan<byte> content)
    {
        _kinds[Count] = kind;
        ChainHash.WriteLink(_links.AsSpan(Count * ChainHash.LinkBytes), FirstSequence + Count, at, kind, content);
        _firstAt = Math.Min(_firstAt, at);
        _lastAt = Math.Max(_lastAt, at);
        Count++;
    }

    private byte[] Compress()
    {
        _head.Clear();
        _head.Byte(Version);
        _head.Number((ulong)Count);
        for (var i = 0; i < Count; i++)
        {
            _head.Number(((ulong)(_lengths[i] + 1) << 2) | (byte)_kinds[i]);
            var content = _links.AsSpan((i * ChainHash.LinkBytes) + ChainHash.LinkBytes - ChainHash.Bytes, ChainHash.Bytes);
            if (_removed[i] != 0)
            {
                _head.Byte((byte)_removed[i]);
                _head.Bytes(content);
            }
            else
            {
                _head.UInt32(BinaryPrimitives.ReadUInt32LittleEndian(content));
            }
        }
        var needed = BrotliEncoder.GetMaxCompressedLength(_recordBytes);
        if (_compressed.Length < needed) _compressed = new byte[needed];
        if (!BrotliEncoder.TryCompress(_records.AsSpan(0, _recordBytes), _compressed, out var length, Quality, WindowBits))
            throw new InvalidOperationException("The buffer for the compressed records is too small.");
        var head = _head.Written;
        var data = new byte[head.Length + length];
        head.CopyTo(data);
        _compressed.AsSpan(0, length).CopyTo(data.AsSpan(head.Length));
        return data;
    }
}

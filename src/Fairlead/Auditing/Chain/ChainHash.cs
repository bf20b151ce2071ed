using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Chain;

/// <summary>
/// The hash chain of a node. The content hash of a record is the SHA-256 of its bytes. Its link is its sequence number, time, kind and
/// content hash. Its hash is the SHA-256 of the hash before its block and the links of the block up to its own, so it covers all records
/// before it. A record can be removed without breaking the chain: its link stays.
/// </summary>
/// <remarks>
/// The usual form, the SHA-256 of the previous record's hash and the record, needs two hashes a record, of which the second costs half as
/// much as the first. Here the second is one for a whole block.
/// </remarks>
internal static class ChainHash
{
    public const int Bytes = SHA256.HashSizeInBytes;

    /// <summary>Bytes of a link.</summary>
    public const int LinkBytes = 8 + 8 + 1 + Bytes;

    /// <summary>The hash before the first record of a node. It differs by node, so that no chain can pass for another.</summary>
    public static byte[] BeforeFirst(string node) => SHA256.HashData(Encoding.UTF8.GetBytes("fairlead audit chain 1\n" + node));

    public static void WriteLink(Span<byte> target, long sequence, long at, AuditRecordKind kind, ReadOnlySpan<byte> content)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, sequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], at);
        target[16] = (byte)kind;
        content.CopyTo(target[17..]);
    }

    /// <summary>The hash of the last record of <paramref name="links"/>.</summary>
    public static byte[] Of(ReadOnlySpan<byte> previous, ReadOnlySpan<byte> links)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(previous);
        hash.AppendData(links);
        return hash.GetHashAndReset();
    }
}

using System.Buffers.Binary;

namespace Fairlead.Auditing.Spooling;

/// <summary>The result of looking for the next record.</summary>
internal enum SpoolRead
{
    Found,

    /// <summary>A record may start at the returned position, but extends beyond the available bytes.</summary>
    NeedMore,

    /// <summary>Nothing more.</summary>
    End,
}

/// <summary>One whole record, valid as long as the bytes from which it was read.</summary>
internal readonly ref struct SpoolRecord
{
    public SpoolRecordType Type { get; init; }

    /// <summary>For <see cref="SpoolRecordType.CallEnded"/> the number of the record within its node, from 1.</summary>
    public long Sequence { get; init; }

    /// <summary>Where the payload starts in the window.</summary>
    public int PayloadStart { get; init; }

    public ReadOnlySpan<byte> Payload { get; init; }

    /// <summary>Where the next record may start in the window.</summary>
    public int End { get; init; }
}

/// <summary>
/// The bytes of a segment: a file header (8 bytes of name, 8 bytes with the sequence number before it), then records, each at a multiple of
/// eight: three letters and the type, the payload's length, the sequence number, the checksum over payload and those sixteen bytes, four
/// zero bytes, the payload (JSON). All numbers little-endian. Unused space is zero, and no JSON text contains a zero byte, so nothing
/// inside a payload can look like the start of a record.
/// </summary>
internal static class SpoolFormat
{
    public const int FileHeaderBytes = 16;

    public const int RecordHeaderBytes = 24;

    /// <summary>More than any record can have; a larger length means damage.</summary>
    public const int MaxPayloadBytes = 256 * 1024;

    /// <summary>
    /// How much longer the record of a call's end may be than that of the start of its last attempt: outcomes, counts at their longest,
    /// timings.
    /// </summary>
    public const int EndAllowanceBytes = 1536;

    /// <summary>The longest record of a call without an attempt, not counting a builder's own timings.</summary>
    public const int MaxEndWithoutAttemptBytes = 16 * 1024;

    private static ReadOnlySpan<byte> FileName => "FLSPOOL1"u8;

    private static ReadOnlySpan<byte> Mark => "FLR"u8;

    public static int SizeOf(int payloadBytes) => (RecordHeaderBytes + payloadBytes + 7) & ~7;

    /// <param name="target">At least <see cref="FileHeaderBytes"/>.</param>
    /// <param name="sequence">Sequence number of the node's last ended call before this segment.</param>
    public static void WriteFileHeader(Span<byte> target, long sequence)
    {
        FileName.CopyTo(target);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], sequence);
    }

    /// <summary>The sequence number that was reached before this segment; 0 when the header is not one.</summary>
    public static long SequenceBefore(ReadOnlySpan<byte> file) => HasFileHeader(file)
        ? BinaryPrimitives.ReadInt64LittleEndian(file[8..]) : 0;

    public static bool HasFileHeader(ReadOnlySpan<byte> file) => file.Length >= FileHeaderBytes && file.StartsWith(FileName);

    /// <param name="target">At least <see cref="RecordHeaderBytes"/>.</param>
    /// <param name="payloadChecksum">Checksum of the payload alone, so that the long part is computed outside the lock.</param>
    public static void WriteHeader(Span<byte> target, SpoolRecordType type, int payloadBytes, long sequence, uint payloadChecksum)
    {
        Mark.CopyTo(target);
        target[3] = (byte)type;
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], payloadBytes);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(target[16..], Crc32C.Append(payloadChecksum, target[..16]));
        BinaryPrimitives.WriteUInt32LittleEndian(target[20..], 0);
    }

    /// <summary>
    /// Finds the next whole record at or after <paramref name="at"/>, skipping partial, zero or damaged ones. Never throws, whatever the
    /// bytes.
    /// </summary>
    /// <param name="window">Bytes of a segment from some multiple of eight on.</param>
    /// <param name="at">Where to look; a multiple of eight. For <see cref="SpoolRead.NeedMore"/> set to where to continue.</param>
    /// <param name="isEnd">Whether nothing follows the window.</param>
    public static SpoolRead Next(ReadOnlySpan<byte> window, ref int at, bool isEnd, out SpoolRecord record)
    {
        record = default;
        var position = at;
        while (true)
        {
            if (position > window.Length - RecordHeaderBytes)
            {
                at = Math.Min(position, window.Length & ~7);
                return isEnd ? SpoolRead.End : SpoolRead.NeedMore;
            }
            var header = window[position..];
            if (header.StartsWith(Mark))
            {
                var length = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
                if (length is >= 0 and <= MaxPayloadBytes)
                {
                    var end = (long)position + SizeOf(length);
                    if (position + RecordHeaderBytes + (long)length > window.Length)
                    {
                        if (!isEnd)
                        {
                            at = position;
                            return SpoolRead.NeedMore;
                        }
                    }
                    else
                    {
                        var payload = header.Slice(RecordHeaderBytes, length);
                        if (Crc32C.Append(Crc32C.Append(0, payload), header[..16]) == BinaryPrimitives.ReadUInt32LittleEndian(header[16..]))
                        {
                            record = new SpoolRecord
                            {
                                Type = (SpoolRecordType)header[3],
                                Sequence = BinaryPrimitives.ReadInt64LittleEndian(header[8..]),
                                PayloadStart = position + RecordHeaderBytes,
                                Payload = payload,
                                End = (int)Math.Min(end, (window.Length + 7) & ~7),
                            };
                            at = record.End;
                            return SpoolRead.Found;
                        }
                    }
                }
            }
            position = NextMark(window, position + 8);
        }
    }

    private static int NextMark(ReadOnlySpan<byte> window, int from)
    {
        while (from < window.Length)
        {
            var found = window[from..].IndexOf(Mark);
            if (found < 0) return window.Length & ~7;
            from += found;
            if (from % 8 == 0) return from;
            from = (from + 7) & ~7;
        }
        return window.Length & ~7;
    }
}

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

    /// <summary>For an audit record the number of the record within its node, from 1.</summary>
    public long Sequence { get; init; }

    /// <summary>Where the payload starts in the window.</summary>
    public int PayloadStart { get; init; }

    public ReadOnlySpan<byte> Payload { get; init; }

    /// <summary>Where the next record may start in the window.</summary>
    public int End { get; init; }
}

/// <summary>
/// The bytes of a segment. A file header: 4 letters, 4 bytes with the segment's stamp, 8 bytes with the sequence number that was reached
/// before it. Then records, each at a multiple of eight: three letters and the type, the payload's length, the sequence number, the
/// checksum over the payload and those sixteen bytes, the segment's stamp, the payload (JSON). All numbers are little-endian.
/// </summary>
/// <remarks>
/// <para>A file is used for several segments, one after the other. Everything after the newest record is what the earlier segment left,
/// or zeros. The stamp is derived from the segment's number, so nothing that an earlier segment left is read as a record of a later
/// one.</para>
/// <para>No JSON text contains a zero byte, but every record header does (in its length), so nothing inside a payload can look like the
/// start of a record.</para>
/// <para>Version 1 had no stamps: its file header starts with other letters, and its records have zeros in place of the stamp. A file of
/// version 1 is read, but never reused.</para>
/// </remarks>
internal static class SpoolFormat
{
    public const int FileHeaderBytes = 16;

    public const int RecordHeaderBytes = 24;

    /// <summary>More than any record can have; a larger length means damage.</summary>
    public const int MaxPayloadBytes = 256 * 1024;

    /// <summary>
    /// How much longer the record of a call's end may be than that of the start of its last attempt: outcomes, counts at their longest,
    /// the provider's own counts, timings.
    /// </summary>
    public const int EndAllowanceBytes = 2048;

    /// <summary>The longest record of a call without an attempt, not counting a builder's own timings.</summary>
    public const int MaxEndWithoutAttemptBytes = 16 * 1024;

    /// <summary>
    /// Where the second part of a record header starts: checksum and stamp. It is written last, and a record counts from then on.
    /// </summary>
    public const int CommitOffset = 16;

    private const int StampOffset = 20;

    private static ReadOnlySpan<byte> FileMark => "FLS2"u8;

    private static ReadOnlySpan<byte> FileMarkOfVersion1 => "FLSPOOL1"u8;

    private static ReadOnlySpan<byte> Mark => "FLR"u8;

    public static int SizeOf(int payloadBytes) => (RecordHeaderBytes + payloadBytes + 7) & ~7;

    /// <summary>
    /// What marks the records of a segment; never 0. Two segments with the same stamp are at least 2³² - 1 numbers apart. A file is only
    /// reused by the process that created it, which never gets that far.
    /// </summary>
    public static uint StampOf(long segment) => (uint)(segment % uint.MaxValue) + 1;

    /// <param name="target">At least <see cref="FileHeaderBytes"/>.</param>
    /// <param name="segment">Number of the segment.</param>
    /// <param name="sequence">Sequence number of the node's last ended call before this segment.</param>
    public static void WriteFileHeader(Span<byte> target, long segment, long sequence)
    {
        FileMark.CopyTo(target);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], StampOf(segment));
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], sequence);
    }

    /// <summary>The sequence number that was reached before this segment; 0 when the header is not that of this segment.</summary>
    public static long SequenceBefore(ReadOnlySpan<byte> file, long segment)
    {
        if (file.Length < FileHeaderBytes) return 0;
        var isHeader = file.StartsWith(FileMark) && BinaryPrimitives.ReadUInt32LittleEndian(file[4..]) == StampOf(segment);
        return isHeader || file.StartsWith(FileMarkOfVersion1) ? BinaryPrimitives.ReadInt64LittleEndian(file[8..]) : 0;
    }

    /// <param name="target">At least <see cref="RecordHeaderBytes"/>.</param>
    /// <param name="type">Type of the record.</param>
    /// <param name="payloadBytes">Length of the payload.</param>
    /// <param name="sequence">Number of the ended call within its node; 0 for other records.</param>
    /// <param name="payloadChecksum">Checksum of the payload alone, so that the long part is computed outside the lock.</param>
    /// <param name="stamp">That of the segment.</param>
    public static void WriteHeader(Span<byte> target, SpoolRecordType type, int payloadBytes, long sequence, uint payloadChecksum,
        uint stamp)
    {
        Mark.CopyTo(target);
        target[3] = (byte)type;
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], payloadBytes);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(target[CommitOffset..], Crc32C.Append(payloadChecksum, target[..CommitOffset]));
        BinaryPrimitives.WriteUInt32LittleEndian(target[StampOffset..], stamp);
    }

    /// <summary>
    /// Finds the next whole record at or after <paramref name="at"/>. Skips zeros, partial and damaged records, and those of an earlier
    /// segment in the same file. Never throws, whatever the bytes.
    /// </summary>
    /// <param name="window">Bytes of a segment from some multiple of eight on.</param>
    /// <param name="at">Where to look; a multiple of eight. For <see cref="SpoolRead.NeedMore"/> set to where to continue.</param>
    /// <param name="isEnd">Whether nothing follows the window.</param>
    /// <param name="stamp">That of the segment.</param>
    /// <param name="record">The record that was found.</param>
    public static SpoolRead Next(ReadOnlySpan<byte> window, ref int at, bool isEnd, uint stamp, out SpoolRecord record)
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
            if (header.StartsWith(Mark) && HasStamp(header, stamp))
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
                        if (Crc32C.Append(Crc32C.Append(0, payload), header[..CommitOffset])
                            == BinaryPrimitives.ReadUInt32LittleEndian(header[CommitOffset..]))
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

    private static bool HasStamp(ReadOnlySpan<byte> header, uint stamp) =>
        BinaryPrimitives.ReadUInt32LittleEndian(header[StampOffset..]) is var found && (found == stamp || found == 0);

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

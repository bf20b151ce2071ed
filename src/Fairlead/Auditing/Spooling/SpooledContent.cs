namespace Fairlead.Auditing.Spooling;

/// <summary>Where the content of a call is in a segment: after the record of its end, in one spool record.</summary>
/// <param name="Start">Where the spool record starts in the file.</param>
/// <param name="PayloadBytes">Length of its payload: the record, a line feed and the content.</param>
/// <param name="RecordBytes">Length of the record alone.</param>
/// <param name="Sequence">Number of the ended call.</param>
/// <param name="Checksum">Checksum of the record alone.</param>
internal readonly record struct SpooledContent(int Start, int PayloadBytes, int RecordBytes, long Sequence, uint Checksum)
{
    /// <summary>Where the content starts in the file.</summary>
    public int EraseFrom => Start + SpoolFormat.RecordHeaderBytes + RecordBytes;

    /// <summary>Bytes of the content, with the line feed.</summary>
    public int EraseBytes => PayloadBytes - RecordBytes;

    /// <summary>
    /// Writes the header of the record without content. A process that is killed meanwhile leaves a damaged record, which the database has.
    /// </summary>
    public void WriteHeader(Span<byte> target, uint stamp) =>
        SpoolFormat.WriteHeader(target, SpoolRecordType.CallEnded, RecordBytes, Sequence, Checksum, stamp);
}

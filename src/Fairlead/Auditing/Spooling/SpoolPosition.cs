namespace Fairlead.Auditing.Spooling;

/// <summary>A position in a node's spool; ordered as the records were appended.</summary>
/// <param name="Segment">Number of the segment's file.</param>
/// <param name="Offset">Bytes from the start of that file.</param>
internal readonly record struct SpoolPosition(long Segment, int Offset) : IComparable<SpoolPosition>
{
    public int CompareTo(SpoolPosition other) => Segment != other.Segment ? Segment.CompareTo(other.Segment)
        : Offset.CompareTo(other.Offset);

    public static bool operator <(SpoolPosition left, SpoolPosition right) => left.CompareTo(right) < 0;

    public static bool operator >(SpoolPosition left, SpoolPosition right) => left.CompareTo(right) > 0;

    public static bool operator <=(SpoolPosition left, SpoolPosition right) => left.CompareTo(right) <= 0;

    public static bool operator >=(SpoolPosition left, SpoolPosition right) => left.CompareTo(right) >= 0;
}

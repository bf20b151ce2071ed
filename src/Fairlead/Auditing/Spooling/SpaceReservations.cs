namespace Fairlead.Auditing.Spooling;

/// <summary>
/// Bytes reserved for the records of running calls: nothing else may be appended that would leave less than that in the open segments.
/// Not thread-safe; used under the spool's lock.
/// </summary>
internal sealed class SpaceReservations
{
    public long Bytes { get; private set; }

    /// <summary>
    /// The largest record for which space is reserved. The end of a segment may be too short for it, so that much of each segment does not
    /// count as space.
    /// </summary>
    public int Largest { get; private set; }

    /// <param name="record">Size of the call's record.</param>
    /// <param name="bytes">How much of it was not reserved yet.</param>
    public void Add(int record, int bytes)
    {
        Bytes += bytes;
        if (record > Largest) Largest = record;
    }

    public void Release(int bytes)
    {
        Bytes -= bytes;
        if (Bytes == 0) Largest = 0;
    }
}

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// The records of calls that were refused before any attempt, and of refused attempts to administer. They have no reservation and must not use reserved space. While the disk is
/// full, they wait in a small buffer; those that do not fit are counted and dropped. Not thread-safe; used under the spool's lock.
/// </summary>
internal sealed class RefusedRecords(SpoolSegments segments, SpoolFolder folder, SpoolOptions options, TimeProvider time)
{
    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(1);

    private readonly Queue<(SpoolRecordType Type, byte[] Record)> _waiting = new();
    private readonly Dictionary<long, long> _bytesBySegment = [];
    private long _waitingBytes;
    private long _bytes;
    private long _checkedAt;

    /// <summary>Records that wait in memory for disk space.</summary>
    public int Waiting => _waiting.Count;

    /// <summary>Records that were dropped since the disk was last found writable.</summary>
    public long Dropped { get; private set; }

    /// <summary>Appends the record, or lets it wait, or drops it. Returns which.</summary>
    public RefusedRecordResult Add(SpoolRecordType type, ReadOnlySpan<byte> record, uint checksum)
    {
        if (_waiting.Count == 0 && CanAppend())
        {
            try
            {
                Append(type, record, checksum);
                return RefusedRecordResult.Appended;
            }
            catch (SpoolUnavailableException)
            {
                // It waits like those of a full disk.
            }
        }
        if (_waitingBytes + record.Length <= options.MaxWaitingRefusedBytes)
        {
            _waiting.Enqueue((type, record.ToArray()));
            _waitingBytes += record.Length;
            return RefusedRecordResult.Waits;
        }
        Dropped++;
        return RefusedRecordResult.Dropped;
    }

    /// <summary>Appends the next waiting record; false when there is none or no space for it.</summary>
    /// <exception cref="SpoolUnavailableException">The disk is full or cannot be written, or the spool is closed.</exception>
    public bool TryAppendWaiting()
    {
        if (!CanAppend() || !_waiting.TryPeek(out var next)) return false;
        Append(next.Type, next.Record, Crc32C.Append(0, next.Record));
        _waiting.Dequeue();
        _waitingBytes -= next.Record.Length;
        return true;
    }

    /// <summary>The number of dropped records, which starts again at 0 once none waits any more.</summary>
    public long TakeDropped()
    {
        if (_waiting.Count > 0) return 0;
        var dropped = Dropped;
        Dropped = 0;
        return dropped;
    }

    private bool CanAppend() => !segments.HasFailed && HasSpace();

    private void Append(SpoolRecordType type, ReadOnlySpan<byte> record, uint checksum)
    {
        segments.DemandSpace(SpoolFormat.SizeOf(record.Length), 0, 0);
        segments.Write(type, record, checksum);
        var segment = segments.End.Segment;
        _bytes += record.Length;
        _bytesBySegment[segment] = _bytesBySegment.GetValueOrDefault(segment) + record.Length;
    }

    // What the database has received is removed with its segment. While it accepts nothing, refusals must not fill the disk.
    private bool HasSpace()
    {
        if (_bytes < options.MaxRefusedBytes) return true;
        if (_checkedAt != 0 && time.GetElapsedTime(_checkedAt) < CheckInterval) return false;
        _checkedAt = time.GetTimestamp();
        foreach (var (segment, bytes) in _bytesBySegment.ToArray())
        {
            if (segment == segments.End.Segment || File.Exists(folder.PathOf(segment))) continue;
            _bytesBySegment.Remove(segment);
            _bytes -= bytes;
        }
        return _bytes < options.MaxRefusedBytes;
    }
}

/// <summary>What became of the record of a refused call.</summary>
internal enum RefusedRecordResult
{
    Appended,
    Waits,
    Dropped,
}

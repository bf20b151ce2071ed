using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// The segments of this process: the active one, the spares, and full ones that stay open until their records are in the database. A full
/// segment is then reused: writing 16 MiB of zeros for each new file took more processor time than the records. Members are used under the
/// spool's lock, except where they state otherwise.
/// </summary>
/// <remarks>
/// A file goes through these states: spare, active, full, and spare again. Only its name changes, in one rename, so a killed process
/// leaves it in one of them. The next process reads active and full segments, and deletes spares.
/// </remarks>
internal sealed class SpoolSegments
{
    /// <summary>
    /// Maximum of full segments that stay open to be reused. While the database is slow or unavailable, further ones are closed and, once
    /// they are in the database, deleted.
    /// </summary>
    private const int MaxFull = 2;

    private readonly SpoolFolder _folder;
    private readonly int _segmentBytes;
    private readonly ILogger _logger;
    private readonly Lock _gate;
    private readonly SpaceReservations _reservations;
    private readonly SpareSegments _spares;
    private readonly GroupFlusher? _flusher;
    private readonly Dictionary<long, SpoolSegment> _full = [];

    private SpoolSegment _active;
    private (SpoolSegment Segment, bool IsKept)? _unflushed;
    private long _sequence;
    private long _lastOld;
    private long _flushFailures;
    private bool _closed;

    /// <param name="folder">This node's folder.</param>
    /// <param name="options">Size of a segment and durability.</param>
    /// <param name="first">Number of the first segment.</param>
    /// <param name="reservations">Space for the records of running calls.</param>
    /// <param name="gate">The spool's lock.</param>
    /// <param name="time">Clock for retries.</param>
    /// <param name="logger">The spool's logger.</param>
    /// <exception cref="IOException">The disk is full or cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public SpoolSegments(SpoolFolder folder, SpoolOptions options, long first, SpaceReservations reservations, Lock gate, TimeProvider time,
        ILogger logger)
    {
        _folder = folder;
        _segmentBytes = options.SegmentBytes;
        _reservations = reservations;
        _gate = gate;
        _logger = logger;
        if (options.Durability != AuditDurability.Spool) _flusher = new GroupFlusher(FlushSegments);
        _spares = new SpareSegments(folder, options, time, logger, gate, () => NeedsSpare);
        _sequence = folder.LastSequence();
        folder.DeleteSpares();
        _active = _spares.Create();
        _active.TakeIntoUse(folder.PathOf(first), first, _sequence);
    }

    /// <summary>End of what has been appended.</summary>
    public SpoolPosition End => new(_active.Number, _active.Length);

    public int SpareCount => _spares.Count;

    /// <summary>Full segments that became spares instead of being deleted.</summary>
    public long Reused { get; private set; }

    /// <summary>Whether the disk could not be written at the last attempt.</summary>
    public bool HasFailed => _spares.HasFailed;

    /// <summary>Whether a flush to the disk is part of an append.</summary>
    public bool Flushes => _flusher is not null;

    /// <summary>Flushes that failed. Thread-safe.</summary>
    public long FlushFailures => Interlocked.Read(ref _flushFailures);

    private long UsableBytes => _segmentBytes - SpoolFormat.FileHeaderBytes;

    // A spare must exist for the next rotation, and more of them when many calls run at once. No new one is created while a full segment
    // is expected back and the active one has enough space.
    private bool NeedsSpare =>
        (_spares.Count == 0 && _full.Count == 0) || SpaceAfter(0, _reservations.Largest) - _reservations.Bytes < _segmentBytes / 2;

    /// <summary>Ensures space for a record, beside all reservations and what this call reserves.</summary>
    /// <param name="size">Size of the record that is appended now.</param>
    /// <param name="reserved">Size of the record for which space is reserved.</param>
    /// <param name="more">How much of that was not reserved yet.</param>
    /// <exception cref="SpoolUnavailableException">There is no space, or the spool is closed.</exception>
    public void DemandSpace(int size, int reserved, int more)
    {
        if (_closed) throw new SpoolUnavailableException("The spool is closed.");
        while (SpaceAfter(size, Math.Max(reserved, _reservations.Largest)) < _reservations.Bytes + more) _spares.CreateNow();
    }

    /// <summary>Lets a background thread create the spares that are missing, if the disk has not failed.</summary>
    public void CreateSparesSoon()
    {
        if (!_spares.HasFailed) _spares.CreateSoon();
    }

    /// <summary>Appends a record, in the next segment if the active one is full.</summary>
    /// <exception cref="SpoolUnavailableException">There is no space, or the spool is closed.</exception>
    public void Write(SpoolRecordType type, ReadOnlySpan<byte> payload, uint checksum)
    {
        if (_closed) throw new SpoolUnavailableException("The spool is closed.");
        var sequence = type is SpoolRecordType.CallEnded or SpoolRecordType.CallEndedWithContent or SpoolRecordType.CallRecovered
            ? _sequence + 1 : 0;
        if (_active.FlushFailed || !_active.TryAppend(type, sequence, payload, checksum))
        {
            Rotate();
            if (!_active.TryAppend(type, sequence, payload, checksum))
                throw new UnreachableException("A fresh segment has room for any record.");
        }
        if (sequence > 0) _sequence = sequence;
    }

    /// <summary>Creates a missing spare if the disk failed before. Takes the lock itself.</summary>
    public void RetryCreation()
    {
        bool retry;
        lock (_gate) retry = !_closed && _spares.ShouldRetry();
        if (retry) _spares.CreateNeeded();
    }

    /// <summary>
    /// Removes a segment whose records are all in the database. It becomes a spare if there is none; otherwise it is deleted, so that the
    /// spool takes no more of the disk than it needs. Takes the lock itself.
    /// </summary>
    /// <param name="number">The segment.</param>
    /// <param name="mayReuse">Whether its file may become a spare, with its bytes.</param>
    public void Remove(long number, bool mayReuse = true)
    {
        SpoolSegment? segment;
        lock (_gate)
        {
            if (_full.Remove(number, out segment) && mayReuse && !_closed && !segment.FlushFailed && number > _lastOld && (_spares.Count == 0 || NeedsSpare)
                && TryReuse(segment))
            {
                return;
            }
        }
        // Closed first: Windows does not delete a mapped file.
        segment?.Dispose();
        _folder.Delete(number);
    }

    /// <summary>Erases the content after a record of an ended call. Takes the lock itself.</summary>
    /// <param name="number">The segment.</param>
    /// <param name="content">Where the record is.</param>
    /// <returns>False if the segment is not open here.</returns>
    public bool EraseContent(long number, in SpooledContent content)
    {
        lock (_gate)
        {
            var segment = _active.Number == number ? _active : _full.GetValueOrDefault(number);
            if (_closed || segment is null) return false;
            segment.EraseContent(content);
            return true;
        }
    }

    /// <summary>
    /// Goes on in a new file, and deletes those before as soon as their records are in the database, instead of reusing them: nothing of
    /// what was appended so far stays on the disk. Takes the lock itself.
    /// </summary>
    /// <exception cref="IOException">The disk is full or cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    /// <exception cref="SpoolUnavailableException">There is no space.</exception>
    public void Renew()
    {
        while (true)
        {
            lock (_gate)
            {
                if (_closed) return;
                if (_spares.OldCount == 0 && _spares.Count > 0)
                {
                    _lastOld = _active.Number;
                    Rotate();
                    return;
                }
            }
            // Without the lock: writing zeros takes milliseconds.
            var created = _spares.Create();
            lock (_gate)
            {
                if (_closed) created.Dispose();
                else _spares.Replace(created);
            }
        }
    }

    /// <summary>Closes a segment that is put aside. Takes the lock itself.</summary>
    public void Close(long number)
    {
        SpoolSegment? segment;
        lock (_gate) _full.Remove(number, out segment);
        segment?.Dispose();
    }

    /// <summary>Flushes everything appended so far to the disk, if the durability setting requires it. Thread-safe.</summary>
    /// <exception cref="IOException">The disk failed.</exception>
    public Task FlushAsync() => _flusher?.FlushAsync() ?? Task.CompletedTask;

    /// <summary>
    /// As <see cref="FlushAsync()"/>; also fails if another flush has failed since. That one may have been the last of the caller's
    /// records: a full segment is flushed once. Thread-safe.
    /// </summary>
    /// <param name="failures"><see cref="FlushFailures"/> before the caller's first append.</param>
    /// <exception cref="IOException">The disk failed.</exception>
    public async Task FlushAsync(long failures)
    {
        await FlushAsync();
        if (FlushFailures != failures) throw new IOException("A flush of the spool failed.");
    }

    /// <summary>Closes all segments; false when they were closed before. Takes the lock itself.</summary>
    public bool Close()
    {
        var closed = false;
        _spares.Close(() =>
        {
            if (_closed) return false;
            _closed = closed = true;
            if (_unflushed is var (unflushed, _)) CloseFlushed(unflushed);
            foreach (var full in _full.Values) CloseFlushed(full);
            _full.Clear();
            CloseFlushed(_active);
            return true;
        });
        return closed;
    }

    // The end of a segment may be too short for the next record, so up to the size of the largest record does not count.
    private long SpaceAfter(int size, int largest)
    {
        long active = _active.FlushFailed ? 0 : _active.Capacity - _active.Length;
        var spares = _spares.Count;
        if (size > active)
        {
            if (spares == 0) return -1;
            spares--;
            active = UsableBytes;
        }
        return Math.Max(0, active - size - largest) + (spares * (UsableBytes - largest));
    }

    private void Rotate()
    {
        if (_spares.Count == 0) _spares.CreateNow();
        var number = _active.Number + 1;
        try
        {
            _spares.Peek().TakeIntoUse(_folder.PathOf(number), number, _sequence);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It stays a spare: running calls rely on its space.
            _spares.Fail(e);
            throw new SpoolUnavailableException("The spool has no space.", e);
        }
        var full = _active;
        _active = _spares.Take();
        Retire(full);
        _spares.CreateSoon();
    }

    private void Retire(SpoolSegment segment)
    {
        // After a failed flush, the file may be damaged.
        var isKept = !segment.FlushFailed && _full.Count < MaxFull;
        if (isKept) _full.Add(segment.Number, segment);
        if (_flusher is null)
        {
            if (!isKept) segment.Dispose();
            return;
        }
        // The old segment must reach the disk before a waiting flush completes. Two rotations within one flush are rare, so the cost is
        // accepted here.
        if (_unflushed is var (older, isOlderKept))
        {
            TryFlush(older);
            if (!isOlderKept) older.Dispose();
        }
        _unflushed = (segment, isKept);
    }

    private bool TryReuse(SpoolSegment segment)
    {
        try
        {
            segment.BecomeSpare(_spares.NextPath());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
        _spares.Add(segment);
        Reused++;
        return true;
    }

    // Runs on the flusher's thread, without the lock. A full segment that is kept may become a spare meanwhile, or even be active again:
    // then it is flushed once more than necessary.
    private void FlushSegments()
    {
        (SpoolSegment Segment, bool IsKept)? full;
        SpoolSegment active;
        lock (_gate)
        {
            if (_closed) return;
            (full, active) = (_unflushed, _active);
            _unflushed = null;
        }
        try
        {
            // One that failed before was noted then.
            if (full is var (segment, _) && !segment.FlushFailed) FlushUnlessClosed(segment);
            FlushUnlessClosed(active);
        }
        catch (IOException e)
        {
            lock (_gate) NoteFailure(e);
            throw;
        }
        finally
        {
            if (full is (var closing, false)) closing.Dispose();
        }
    }

    private static void FlushUnlessClosed(SpoolSegment segment)
    {
        try
        {
            segment.Flush();
        }
        catch (ObjectDisposedException)
        {
            // Closed meanwhile: it was flushed before that, or was removed because its records are in the database.
        }
    }

    private void CloseFlushed(SpoolSegment segment)
    {
        if (_flusher is not null) TryFlush(segment);
        segment.Dispose();
    }

    private void TryFlush(SpoolSegment segment)
    {
        try
        {
            FlushUnlessClosed(segment);
        }
        catch (IOException e)
        {
            NoteFailure(e);
        }
    }

    // Under the lock. The segment is marked already, so a caller that reads the number before it is increased appends to another one.
    private void NoteFailure(IOException error)
    {
        Interlocked.Increment(ref _flushFailures);
        _spares.DropFailed();
        _logger.FlushFailed(error);
    }
}

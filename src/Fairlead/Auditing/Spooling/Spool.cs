using System.Diagnostics;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// The spool of this process. It takes the first folder under <c>spool/</c> that no running process holds, or creates one. It also takes
/// over the folders of other stopped nodes, so that the next process charges what a killed one left. Appends copy into a mapped segment
/// under a short lock. Segments are created in advance. The start of a call's first attempt also reserves space for the record of the
/// call's end: an attempt without space is refused before it is sent, and a running call can always be recorded.
/// </summary>
/// <remarks>
/// Thread-safe. Reserved space is a number of bytes: nothing else may be appended that would leave less than that in the available
/// segments.
/// Records of calls that were refused before any attempt have no reservation. They must not use reserved space, wait in a small buffer of
/// their own while the disk is full, and are counted and dropped when that is full too.
/// </remarks>
internal sealed class Spool : ISpool, IDisposable
{
    private static readonly TimeSpan RetryDisk = TimeSpan.FromSeconds(1);

    private readonly SpoolOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly GroupFlusher? _flusher;
    private readonly Lock _gate = new();
    private readonly Lock _making = new();
    private readonly Queue<SpoolSegment> _spares = new();
    private readonly Queue<(byte[] Record, int Held)> _waiting = new();
    private readonly Queue<byte[]> _waitingRefused = new();
    private readonly Dictionary<long, long> _refusedInSegments = [];
    private readonly List<SpoolFolder> _adopted = [];

    private SpoolSegment _active;
    private SpoolSegment? _unflushed;
    private Exception? _fault;
    private long _faultAt;
    private long _reserved;
    private int _largestReserved;
    private long _waitingBytes;
    private long _waitingRefusedBytes;
    private long _refusedBytes;
    private long _refusedCheckedAt;
    private long _dropped;
    private int _sparesMade;
    private long _sequence;
    private bool _makingSpare;
    private bool _suspect;
    private bool _closed;

    /// <exception cref="SpoolUnavailableException">The folder cannot be created or written.</exception>
    public Spool(SpoolOptions options, TimeProvider time, ILogger<Spool> logger)
    {
        // Space for the largest record, whatever size a test chooses.
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SegmentBytes, 4096);
        _options = options;
        _time = time;
        _logger = logger;
        if (options.Durability == AuditDurability.Fsync) _flusher = new GroupFlusher(FlushSegments);
        try
        {
            SpoolFolder.CreatePrivate(options.Root);
            Folder = OpenFolders();
            var old = Folder.Segments();
            // Numbers never decrease, even if the folder was emptied: the database stores its read position by them.
            FirstSegment = Math.Max(old.Length == 0 ? 1 : old[^1] + 1, time.GetUtcNow().ToUnixTimeMilliseconds());
            _sequence = old.Length == 0 ? 0 : LastSequence(old);
            Folder.DeleteSpares();
            _active = SpoolSegment.Create(NextSparePath(), options.SegmentBytes);
            _active.TakeIntoUse(Folder.PathOf(FirstSegment), FirstSegment, _sequence);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Folder?.Dispose();
            foreach (var folder in _adopted) folder.Dispose();
            throw new SpoolUnavailableException(
                $"The spool in '{options.Root}' cannot be opened: {e.Message} Make the data directory writable and see that the disk has room.", e);
        }
        logger.SpoolOpened(Folder.Node, _adopted.Count);
        lock (_gate) MakeSpareSoon();
    }

    /// <summary>This node's folder.</summary>
    public SpoolFolder Folder { get; }

    /// <summary>Folders of stopped nodes, locked by this process; an emptied folder is removed.</summary>
    public IReadOnlyList<SpoolFolder> Adopted => _adopted;

    /// <summary>Number of the first segment of this process; earlier ones belong to a previous process.</summary>
    public long FirstSegment { get; }

    /// <summary>End of what has been appended.</summary>
    public SpoolPosition End
    {
        get
        {
            lock (_gate) return new SpoolPosition(_active.Number, _active.Length);
        }
    }

    /// <summary>Records of ended calls that wait in memory for disk space.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate) return _waiting.Count + _waitingRefused.Count;
        }
    }

    /// <summary>Records of refused calls that were dropped since the disk was last found writable.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Bytes reserved for the records of running calls.</summary>
    public long Reserved
    {
        get
        {
            lock (_gate) return _reserved;
        }
    }

    /// <summary>Segments created in advance.</summary>
    public int Spares
    {
        get
        {
            lock (_gate) return _spares.Count;
        }
    }

    public void Reserve(GatewayCall call)
    {
        const int Room = SpoolFormat.MaxEndWithoutAttemptBytes;
        if (call.RecordRoom >= Room) return;
        DemandFits(0, Room);
        lock (_gate)
        {
            DemandRoom(0, Room, Room - call.RecordRoom);
            Hold(Room, Room - call.RecordRoom);
        }
        call.RecordRoom = Room;
    }

    public ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt)
    {
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteStarted(buffer.Output, call, attempt);
        var payload = buffer.Finish();
        // The record of the end repeats that of the start, and adds how the attempt and the call ended.
        var room = Math.Max(call.RecordRoom, SpoolFormat.SizeOf(payload.Length + SpoolFormat.EndAllowanceBytes));
        Append(SpoolRecordType.AttemptStarted, payload, room, room - call.RecordRoom);
        call.RecordRoom = room;
        return _flusher is null ? default : new ValueTask(FlushForStartAsync());
    }

    public void AttemptProgressed(GatewayCall call, Attempt attempt)
    {
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteProgress(buffer.Output, call, attempt);
        try
        {
            Append(SpoolRecordType.AttemptProgressed, buffer.Finish());
        }
        catch (SpoolUnavailableException)
        {
            // One checkpoint less; the start is recorded, and the end will be.
        }
    }

    public ValueTask CallEndedAsync(GatewayCall call, int status)
    {
        var held = call.RecordRoom;
        call.RecordRoom = 0;
        ReadOnlySpan<byte> record;
        try
        {
            record = WriteEnded(call, status, held);
        }
        catch when (held > 0)
        {
            lock (_gate) Release(held);
            throw;
        }
        if (!(held > 0 ? TryAppendEnd(record, held, call.GenerationId) : TryAppendRefused(record))) return default;
        return _flusher is null ? default : new ValueTask(FlushForEndAsync());
    }

    /// <summary>Appends a record unchanged, if that leaves the reserved space free.</summary>
    /// <exception cref="SpoolUnavailableException">The disk is full or cannot be written, or the spool is closed.</exception>
    public void Append(SpoolRecordType type, ReadOnlySpan<byte> payload) => Append(type, payload, room: 0, more: 0);

    /// <summary>
    /// Writes what waits in memory for space, and creates the spare segment if it is missing. Cheap when there is nothing to do.
    /// </summary>
    public void Mend()
    {
        bool make, waiting;
        lock (_gate)
        {
            if (_closed) return;
            make = _fault is not null && !_makingSpare && IsTimeToRetry;
            // A segment that could not be activated before may succeed now.
            if (make && !NeedsSpare) (_fault, make) = (null, false);
            waiting = _waiting.Count + _waitingRefused.Count > 0;
        }
        if (make) MakeSpares();
        if (waiting) WriteWaiting();
    }

    /// <summary>Flushes everything appended so far to the disk, if the durability setting requires it.</summary>
    public Task FlushAsync() => _flusher?.FlushAsync() ?? Task.CompletedTask;

    public void Dispose()
    {
        WriteWaiting();
        // Wait for a segment that is being created, so that its file does not outlive the lock on the folder.
        lock (_making)
        {
            lock (_gate)
            {
                if (_closed) return;
                _closed = true;
                if (_unflushed is { } unflushed)
                {
                    TryFlush(unflushed);
                    unflushed.Dispose();
                }
                if (_flusher is not null) TryFlush(_active);
                _active.Dispose();
                while (_spares.TryDequeue(out var spare)) spare.Dispose();
                if (_waiting.Count > 0) _logger.EndsLost(_waiting.Count);
                if (_dropped + _waitingRefused.Count > 0) _logger.RefusalsDropped(_dropped + _waitingRefused.Count);
            }
        }
        Folder.Dispose();
        foreach (var folder in _adopted) folder.Dispose();
    }

    private SpoolFolder OpenFolders()
    {
        SpoolFolder? own = null;
        foreach (var path in Directory.GetDirectories(_options.Root).Order(StringComparer.Ordinal))
        {
            if (SpoolFolder.TryOpen(path) is not { } folder) continue;
            if (own is null) own = folder;
            else _adopted.Add(folder);
        }
        return own ?? SpoolFolder.Create(_options.Root, Ids.New("node_", _time));
    }

    private long LastSequence(long[] segments)
    {
        for (var i = segments.Length - 1; i >= 0; i--)
        {
            var path = Folder.PathOf(segments[i]);
            var last = SpoolFile.SequenceBefore(path);
            foreach (var record in SpoolFile.Read(path)) last = Math.Max(last, record.Sequence);
            if (last > 0) return last;
        }
        return 0;
    }

    private static ReadOnlySpan<byte> WriteEnded(GatewayCall call, int status, int held)
    {
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteEnded(buffer.Output, call, status);
        var record = buffer.Finish();
        if (held == 0 || SpoolFormat.SizeOf(record.Length) <= held) return record;
        // Only timings of a builder's own pipeline can have made it longer than was reserved.
        buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteEnded(buffer.Output, call, status, withOwnTimings: false);
        return buffer.Finish();
    }

    private bool TryAppendEnd(ReadOnlySpan<byte> record, int held, string generationId)
    {
        var checksum = Crc32C.Append(0, record);
        lock (_gate)
        {
            try
            {
                Write(SpoolRecordType.CallEnded, record, checksum);
            }
            catch (SpoolUnavailableException)
            {
                // Its space stays reserved. Each waiting record is that of an admitted call, and none is admitted while the disk fails: so
                // they need no limit.
                _waiting.Enqueue((record.ToArray(), held));
                _waitingBytes += record.Length;
                _logger.EndWaits(generationId, _waiting.Count, _waitingBytes);
                return false;
            }
            Release(held);
            return true;
        }
    }

    private bool TryAppendRefused(ReadOnlySpan<byte> record)
    {
        var checksum = Crc32C.Append(0, record);
        lock (_gate)
        {
            if (!_closed && _fault is null && _waitingRefused.Count == 0 && HasSpaceForRefusals())
            {
                try
                {
                    AppendRefused(record, checksum);
                    return true;
                }
                catch (SpoolUnavailableException)
                {
                }
            }
            if (_waitingRefusedBytes + record.Length <= _options.MaxWaitingRefusedBytes)
            {
                _waitingRefused.Enqueue(record.ToArray());
                _waitingRefusedBytes += record.Length;
                return false;
            }
            _dropped++;
        }
        _logger.RefusalDropped();
        return false;
    }

    // Under the lock.
    private void AppendRefused(ReadOnlySpan<byte> record, uint checksum)
    {
        DemandRoom(SpoolFormat.SizeOf(record.Length), 0, 0);
        Write(SpoolRecordType.CallEnded, record, checksum);
        _refusedBytes += record.Length;
        _refusedInSegments[_active.Number] = _refusedInSegments.GetValueOrDefault(_active.Number) + record.Length;
    }

    // Under the lock. What the database has received is deleted with its segment. While it accepts nothing, refusals must not fill the
    // disk.
    private bool HasSpaceForRefusals()
    {
        if (_refusedBytes < _options.MaxRefusedBytes) return true;
        if (_refusedCheckedAt != 0 && _time.GetElapsedTime(_refusedCheckedAt) < RetryDisk) return false;
        _refusedCheckedAt = _time.GetTimestamp();
        foreach (var (segment, bytes) in _refusedInSegments.ToArray())
        {
            if (segment == _active.Number || File.Exists(Folder.PathOf(segment))) continue;
            _refusedInSegments.Remove(segment);
            _refusedBytes -= bytes;
        }
        return _refusedBytes < _options.MaxRefusedBytes;
    }

    private void Append(SpoolRecordType type, ReadOnlySpan<byte> payload, int room, int more)
    {
        DemandFits(payload.Length, room);
        var checksum = Crc32C.Append(0, payload);
        lock (_gate)
        {
            DemandRoom(SpoolFormat.SizeOf(payload.Length), room, more);
            Write(type, payload, checksum);
            Hold(room, more);
        }
    }

    private void DemandFits(int length, int room)
    {
        var usable = _options.SegmentBytes - SpoolFormat.FileHeaderBytes;
        if (length > SpoolFormat.MaxPayloadBytes || SpoolFormat.SizeOf(length) > usable || room > usable - (usable / 4))
            throw new SpoolUnavailableException($"A record of {Math.Max(length, room)} bytes is larger than the spool accepts.");
    }

    // Under the lock.
    private void Hold(int room, int more)
    {
        _reserved += more;
        if (room > _largestReserved) _largestReserved = room;
        if (!_makingSpare && _fault is null && NeedsSpare) MakeSpareSoon();
    }

    // Under the lock.
    private void Release(int held)
    {
        _reserved -= held;
        if (_reserved == 0) _largestReserved = 0;
    }

    // Under the lock. The end of a segment may be too short for the next record, so up to the size of the largest record does not count.
    private long RoomAfter(int size, int largest)
    {
        long usable = _options.SegmentBytes - SpoolFormat.FileHeaderBytes;
        long active = _suspect ? 0 : _active.Capacity - _active.Length;
        var spares = _spares.Count;
        if (size > active)
        {
            if (spares == 0) return -1;
            spares--;
            active = usable;
        }
        return Math.Max(0, active - size - largest) + (spares * (usable - largest));
    }

    // Under the lock. One spare always exists for the next rotation; more when many calls run at once.
    private bool NeedsSpare => _spares.Count == 0 || RoomAfter(0, _largestReserved) - _reserved < _options.SegmentBytes / 2;

    // Under the lock.
    private bool IsTimeToRetry => _fault is null || _time.GetElapsedTime(_faultAt) >= RetryDisk;

    // Under the lock. Space for a record of this size, beside all reservations and what this call reserves.
    private void DemandRoom(int size, int room, int more)
    {
        if (_closed) throw new SpoolUnavailableException("The spool is closed.");
        while (RoomAfter(size, Math.Max(room, _largestReserved)) < _reserved + more) AddSpare();
    }

    // Under the lock.
    private void AddSpare()
    {
        if (!IsTimeToRetry) throw new SpoolUnavailableException("The spool has no space.", _fault);
        try
        {
            _spares.Enqueue(SpoolSegment.Create(NextSparePath(), _options.SegmentBytes));
            _fault = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Fail(e);
            throw new SpoolUnavailableException("The spool has no space.", e);
        }
    }

    // Under the lock.
    private void Write(SpoolRecordType type, ReadOnlySpan<byte> payload, uint checksum)
    {
        if (_closed) throw new SpoolUnavailableException("The spool is closed.");
        var sequence = type == SpoolRecordType.CallEnded ? _sequence + 1 : 0;
        if (_suspect || !_active.TryAppend(type, sequence, payload, checksum))
        {
            Rotate();
            if (!_active.TryAppend(type, sequence, payload, checksum))
                throw new UnreachableException("A fresh segment has room for any record.");
        }
        if (sequence > 0) _sequence = sequence;
    }

    // Under the lock.
    private void Rotate()
    {
        if (_spares.Count == 0) AddSpare();
        var next = _spares.Peek();
        var number = _active.Number + 1;
        try
        {
            next.TakeIntoUse(Folder.PathOf(number), number, _sequence);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It stays a spare: running calls rely on its space.
            Fail(e);
            throw new SpoolUnavailableException("The spool has no space.", e);
        }
        _spares.Dequeue();
        Retire(_active);
        _active = next;
        _suspect = false;
        if (!_makingSpare && IsTimeToRetry && NeedsSpare) MakeSpareSoon();
    }

    // Under the lock. With fsync the old segment must reach the disk before a waiting flush completes.
    private void Retire(SpoolSegment segment)
    {
        if (_flusher is null)
        {
            segment.Dispose();
            return;
        }
        if (_unflushed is { } older)
        {
            // Two rotations within one flush: rare, so the cost is accepted here.
            TryFlush(older);
            older.Dispose();
        }
        _unflushed = segment;
    }

    private void FlushSegments()
    {
        SpoolSegment? old;
        SpoolSegment active;
        lock (_gate)
        {
            if (_closed) return;
            (old, active) = (_unflushed, _active);
            _unflushed = null;
        }
        try
        {
            old?.Flush();
            active.Flush();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // After a failed flush the system may treat the pages as clean, so a later success would prove nothing: continue in another
            // file.
            lock (_gate) _suspect = true;
            _logger.FlushFailed(e);
            throw;
        }
        finally
        {
            old?.Dispose();
        }
    }

    private void TryFlush(SpoolSegment segment)
    {
        try
        {
            segment.Flush();
        }
        catch (IOException e)
        {
            _logger.FlushFailed(e);
        }
    }

    private async Task FlushForStartAsync()
    {
        try
        {
            await _flusher!.FlushAsync();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw new SpoolUnavailableException("The record of the attempt could not be flushed to the disk.", e);
        }
    }

    private async Task FlushForEndAsync()
    {
        try
        {
            await _flusher!.FlushAsync();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The flush itself logs it. The record is in the system's cache; the response is complete and paid for, so it is sent.
        }
    }

    // Under the lock.
    private void MakeSpareSoon()
    {
        _makingSpare = true;
        ThreadPool.UnsafeQueueUserWorkItem(static spool => spool.MakeSpares(), this, preferLocal: false);
    }

    private string NextSparePath() => Folder.SparePathOf(Interlocked.Increment(ref _sparesMade));

    private void MakeSpares()
    {
        lock (_making)
        {
            while (true)
            {
                lock (_gate)
                {
                    _makingSpare = !_closed && NeedsSpare;
                    if (!_makingSpare) return;
                }
                SpoolSegment made;
                try
                {
                    made = SpoolSegment.Create(NextSparePath(), _options.SegmentBytes);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    lock (_gate)
                    {
                        _makingSpare = false;
                        Fail(e);
                    }
                    return;
                }
                lock (_gate)
                {
                    _spares.Enqueue(made);
                    _fault = null;
                }
            }
        }
    }

    // Under the lock.
    private void Fail(Exception fault)
    {
        var first = _fault is null;
        _faultAt = _time.GetTimestamp();
        _fault = fault;
        if (first) _logger.SpoolUnwritable(fault);
    }

    private void WriteWaiting()
    {
        var written = 0;
        long dropped = 0;
        while (true)
        {
            lock (_gate)
            {
                try
                {
                    if (_waiting.TryPeek(out var ended))
                    {
                        Write(SpoolRecordType.CallEnded, ended.Record, Crc32C.Append(0, ended.Record));
                        _waiting.Dequeue();
                        _waitingBytes -= ended.Record.Length;
                        Release(ended.Held);
                    }
                    else if (_fault is null && HasSpaceForRefusals() && _waitingRefused.TryPeek(out var refused))
                    {
                        AppendRefused(refused, Crc32C.Append(0, refused));
                        _waitingRefused.Dequeue();
                        _waitingRefusedBytes -= refused.Length;
                    }
                    else
                    {
                        if (_waitingRefused.Count == 0) (dropped, _dropped) = (_dropped, 0);
                        break;
                    }
                }
                catch (SpoolUnavailableException)
                {
                    break;
                }
            }
            written++;
        }
        if (written > 0) _logger.SpoolWritable(written, dropped);
    }
}

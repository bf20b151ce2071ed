using System.Diagnostics;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing;

/// <summary>
/// The spool of this process. It takes the first folder under <c>spool/</c> that no living process holds, or makes a new one; folders
/// of other nodes that are gone are taken over too, so that what a killed process left is charged by whoever starts next. Appends copy
/// into a mapped segment under a short lock. One segment is always made in advance: new attempts are refused when there is none,
/// so the calls already running still find room to record their end.
/// </summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class Spool : ISpool, IDisposable
{
    private static readonly TimeSpan RetryDisk = TimeSpan.FromSeconds(1);

    private readonly SpoolOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly GroupFlusher? _flusher;
    private readonly Lock _gate = new();
    private readonly Lock _making = new();
    private readonly Queue<byte[]> _waiting = new();
    private readonly List<SpoolFolder> _adopted = [];

    private SpoolSegment _active;
    private SpoolSegment? _spare;
    private SpoolSegment? _unflushed;
    private Exception? _fault;
    private long _faultAt;
    private long _waitingBytes;
    private long _sequence;
    private bool _makingSpare;
    private bool _suspect;
    private bool _closed;

    /// <exception cref="SpoolUnavailableException">The folder cannot be made or written.</exception>
    public Spool(SpoolOptions options, TimeProvider time, ILogger<Spool> logger)
    {
        // Room for the largest record, whatever a test chooses.
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
            // Numbers never go back, also after somebody emptied the folder: the database knows how far it has read by them.
            FirstSegment = Math.Max(old.Length == 0 ? 1 : old[^1] + 1, time.GetUtcNow().ToUnixTimeMilliseconds());
            _sequence = old.Length == 0 ? 0 : LastSequence(old);
            _active = SpoolSegment.Create(Folder.SparePath, options.SegmentBytes);
            _active.TakeIntoUse(Folder.PathOf(FirstSegment), FirstSegment, _sequence);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Folder?.Dispose();
            foreach (var folder in _adopted) folder.Dispose();
            throw new SpoolUnavailableException($"The spool in '{options.Root}' cannot be opened: {e.Message} Make the data directory writable and see that the disk has room.", e);
        }
        logger.SpoolOpened(Folder.Node, _adopted.Count);
        MakeSpareSoon();
    }

    /// <summary>This node's own folder.</summary>
    public SpoolFolder Folder { get; }

    /// <summary>Folders of nodes that are gone, locked by this process; who has emptied one removes it.</summary>
    public IReadOnlyList<SpoolFolder> Adopted => _adopted;

    /// <summary>Number of the first segment of this process; those before belong to an earlier one.</summary>
    public long FirstSegment { get; }

    /// <summary>End of what has been appended.</summary>
    public SpoolPosition End
    {
        get
        {
            lock (_gate) return new SpoolPosition(_active.Number, _active.Length);
        }
    }

    /// <summary>Records of finished calls that wait for room on the disk.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate) return _waiting.Count;
        }
    }

    public ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt)
    {
        DemandRoom();
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteStarted(buffer.Output, call, attempt);
        Append(SpoolRecordType.AttemptStarted, buffer.Finish());
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
            // A checkpoint less; the start is there, and so will be the end.
        }
    }

    public ValueTask CallEndedAsync(GatewayCall call, int status)
    {
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteEnded(buffer.Output, call, status);
        var record = buffer.Finish();
        try
        {
            Append(SpoolRecordType.CallEnded, record);
        }
        catch (SpoolUnavailableException)
        {
            KeepWaiting(record, call.GenerationId);
            return default;
        }
        return _flusher is null ? default : new ValueTask(FlushForEndAsync());
    }

    /// <summary>Appends a record as it is.</summary>
    /// <exception cref="SpoolUnavailableException">The disk is full or cannot be written, or the spool is closed.</exception>
    public void Append(SpoolRecordType type, ReadOnlySpan<byte> payload)
    {
        if (payload.Length > SpoolFormat.MaxPayloadBytes || SpoolFormat.SizeOf(payload.Length) > _options.SegmentBytes - SpoolFormat.FileHeaderBytes)
            throw new SpoolUnavailableException($"A record of {payload.Length} bytes is larger than the spool takes.");
        var checksum = Crc32C.Append(0, payload);
        lock (_gate)
        {
            if (_closed) throw new SpoolUnavailableException("The spool is closed.");
            var sequence = type == SpoolRecordType.CallEnded ? _sequence + 1 : 0;
            if (_suspect || !_active.TryAppend(type, sequence, payload, checksum))
            {
                Rotate();
                if (!_active.TryAppend(type, sequence, payload, checksum)) throw new UnreachableException("A fresh segment has room for any record.");
            }
            if (sequence > 0) _sequence = sequence;
        }
    }

    /// <summary>Writes what waits in memory for room, and makes the segment in advance where there is none. Cheap when there is nothing to do.</summary>
    public void Mend()
    {
        bool faulted, waiting;
        lock (_gate)
        {
            if (_closed) return;
            (faulted, waiting) = (_fault is not null && !_makingSpare, _waiting.Count > 0);
        }
        if (faulted) MakeSpare();
        if (waiting) WriteWaiting();
    }

    /// <summary>Puts everything appended so far on the disk, where durability demands it.</summary>
    public Task FlushAsync() => _flusher?.FlushAsync() ?? Task.CompletedTask;

    public void Dispose()
    {
        WriteWaiting();
        // A segment that is being made in advance is waited for, so that its file does not outlive the lock on the folder.
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
                _spare?.Dispose();
                _spare = null;
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

    // A start must leave room for the ends of all that runs, so it is refused as soon as the next segment cannot be had.
    private void DemandRoom()
    {
        if (Volatile.Read(ref _fault) is null) return;
        bool retry;
        lock (_gate) retry = !_makingSpare && _time.GetElapsedTime(_faultAt) >= RetryDisk;
        if (retry) MakeSpare();
        if (Volatile.Read(ref _fault) is { } fault) throw new SpoolUnavailableException("The spool has no room for another attempt.", fault);
    }

    // Under the lock.
    private void Rotate()
    {
        var next = _spare;
        _spare = null;
        if (next is null)
        {
            if (_fault is not null && _time.GetElapsedTime(_faultAt) < RetryDisk) throw new SpoolUnavailableException("The spool has no room.", _fault);
            try
            {
                next = SpoolSegment.Create(Folder.SparePath + "-2", _options.SegmentBytes);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Fail(e);
                throw new SpoolUnavailableException("The spool has no room.", e);
            }
        }
        var number = _active.Number + 1;
        try
        {
            next.TakeIntoUse(Folder.PathOf(number), number, _sequence);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            next.Dispose();
            Fail(e);
            throw new SpoolUnavailableException("The spool has no room.", e);
        }
        Retire(_active);
        _active = next;
        _suspect = false;
        MakeSpareSoon();
    }

    // Under the lock. With fsync the old segment must reach the disk before those who wait for a flush are told so.
    private void Retire(SpoolSegment segment)
    {
        if (_flusher is null)
        {
            segment.Dispose();
            return;
        }
        if (_unflushed is { } older)
        {
            // Two rotations within one flush: rare, and then paid for here.
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
            // After a failed flush the system may hold the pages for clean, so a later success would prove nothing: go on in another file.
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
            throw new SpoolUnavailableException("The record of the attempt could not be put on the disk.", e);
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
            // Said in the log by the flush itself. The record is in the system's cache; the answer is made and paid for, so it goes out.
        }
    }

    private void MakeSpareSoon() => ThreadPool.UnsafeQueueUserWorkItem(static spool => spool.MakeSpare(), this, preferLocal: false);

    private void MakeSpare()
    {
        lock (_making)
        {
            lock (_gate)
            {
                if (_closed || _spare is not null) return;
                _makingSpare = true;
            }
            SpoolSegment? made = null;
            try
            {
                made = SpoolSegment.Create(Folder.SparePath, _options.SegmentBytes);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                lock (_gate) Fail(e);
            }
            finally
            {
                lock (_gate)
                {
                    _makingSpare = false;
                    if (made is not null)
                    {
                        _spare = made;
                        _fault = null;
                    }
                }
            }
        }
    }

    // Under the lock.
    private void Fail(Exception fault)
    {
        var first = _fault is null;
        _faultAt = _time.GetTimestamp();
        Volatile.Write(ref _fault, fault);
        if (first) _logger.SpoolUnwritable(fault);
    }

    private void KeepWaiting(ReadOnlySpan<byte> record, string generationId)
    {
        lock (_gate)
        {
            if (_waitingBytes + record.Length > _options.MaxWaitingBytes)
            {
                _logger.EndLost(generationId);
                return;
            }
            _waiting.Enqueue(record.ToArray());
            _waitingBytes += record.Length;
            _logger.EndWaits(_waiting.Count, _waitingBytes);
        }
    }

    private void WriteWaiting()
    {
        var written = 0;
        while (true)
        {
            byte[]? record;
            lock (_gate)
            {
                if (!_waiting.TryPeek(out record)) break;
                try
                {
                    Append(SpoolRecordType.CallEnded, record);
                }
                catch (SpoolUnavailableException)
                {
                    break;
                }
                _waiting.Dequeue();
                _waitingBytes -= record.Length;
            }
            written++;
        }
        if (written > 0) _logger.SpoolWritable(written);
    }
}

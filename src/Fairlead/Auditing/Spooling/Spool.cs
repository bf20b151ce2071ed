using System.Buffers;
using Fairlead.Access;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Removal;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// The spool of this process. It takes the first folder under <c>spool/</c> that no running process holds, or creates one. It also takes
/// over the folders of other stopped nodes, so that the next process charges what a killed one left. Appends copy into a mapped segment
/// under a short lock. The start of a call's first attempt also reserves space for the record of the call's end: an attempt without space
/// is refused before it is sent, and a running call can always be recorded. Thread-safe.
/// </summary>
/// <remarks>
/// <see cref="SpoolSegments"/> has the files, <see cref="SpaceReservations"/> the reserved bytes, and <see cref="RefusedRecords"/> the
/// records of refused calls, for which nothing is reserved. All of them work under the lock of this class.
/// </remarks>
internal sealed class Spool : ISpool, IDisposable
{
    private readonly SpoolOptions _options;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly SpaceReservations _reservations = new();
    private readonly SpoolSegments _segments;
    private readonly RefusedRecords _refused;
    private readonly Queue<(SpoolRecordType Type, byte[] Record, int Held)> _waiting = new();
    private readonly List<SpoolFolder> _adopted = [];
    private long _waitingBytes;
    private bool _hasEndedCalls;

    /// <exception cref="SpoolUnavailableException">The folder cannot be created or written.</exception>
    public Spool(SpoolOptions options, TimeProvider time, ILogger<Spool> logger)
    {
        // Space for the largest record, whatever size a test chooses.
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SegmentBytes, 4096);
        _options = options;
        _logger = logger;
        try
        {
            SpoolFolder.CreatePrivate(options.Root);
            Folder = OpenFolders(time);
            var old = Folder.Segments();
            // Numbers never decrease, even if the folder was emptied: the database stores its read position by them.
            FirstSegment = Math.Max(old.Length == 0 ? 1 : old[^1] + 1, time.GetUtcNow().ToUnixTimeMilliseconds());
            _segments = new SpoolSegments(Folder, options, FirstSegment, _reservations, _gate, time, logger);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Folder?.Dispose();
            foreach (var folder in _adopted) folder.Dispose();
            throw new SpoolUnavailableException($"The spool in '{options.Root}' cannot be opened: {e.Message} "
                + "Make the data directory writable and see that the disk has room.", e);
        }
        _refused = new RefusedRecords(_segments, Folder, options, time);
        logger.SpoolOpened(Folder.Node, _adopted.Count);
        lock (_gate) _segments.CreateSparesSoon();
    }

    /// <summary>This node's folder.</summary>
    public SpoolFolder Folder { get; }

    /// <summary>Folders of stopped nodes, locked by this process; an emptied folder is removed.</summary>
    public IReadOnlyList<SpoolFolder> Adopted => _adopted;

    /// <summary>Number of the first segment of this process; earlier ones belong to a previous process.</summary>
    public long FirstSegment { get; }

    /// <summary>Whether a call with an attempt has ended in this process.</summary>
    public bool HasEndedCalls => Volatile.Read(ref _hasEndedCalls);

    /// <summary>End of what has been appended.</summary>
    public SpoolPosition End
    {
        get
        {
            lock (_gate) return _segments.End;
        }
    }

    /// <summary>Records of ended calls that wait in memory for disk space.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate) return _waiting.Count + _refused.Waiting;
        }
    }

    /// <summary>Records of refused calls that were dropped since the disk was last found writable.</summary>
    public long Dropped
    {
        get
        {
            lock (_gate) return _refused.Dropped;
        }
    }

    /// <summary>Whether the durability setting requires that a record is in the database before its response is complete.</summary>
    public bool WaitsForDatabase => _options.Durability == AuditDurability.Database;

    /// <summary>Waits until the database has everything up to a position; false if that takes too long. Set by the shipper.</summary>
    public Func<SpoolPosition, Task<bool>>? WaitForDatabase { get; set; }

    /// <summary>Whether the durability setting requires that records are flushed to the disk.</summary>
    public bool Flushes => _segments.Flushes;

    /// <summary>Flushes that failed.</summary>
    public long FlushFailures => _segments.FlushFailures;

    /// <summary>Bytes reserved for the records of running calls.</summary>
    public long Reserved
    {
        get
        {
            lock (_gate) return _reservations.Bytes;
        }
    }

    /// <summary>Segments that are ready for the next rotation.</summary>
    public int Spares
    {
        get
        {
            lock (_gate) return _segments.SpareCount;
        }
    }

    /// <summary>Full segments that became spares instead of being deleted.</summary>
    public long ReusedSegments
    {
        get
        {
            lock (_gate) return _segments.Reused;
        }
    }

    public void Reserve(GatewayCall call)
    {
        var room = SpoolFormat.MaxEndWithoutAttemptBytes + ContentRoomOf(call);
        if (call.RecordRoom >= room) return;
        DemandFits(0, room);
        lock (_gate)
        {
            _segments.DemandSpace(0, room, room - call.RecordRoom);
            Hold(room, room - call.RecordRoom);
        }
        call.RecordRoom = room;
    }

    public ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt)
    {
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteStarted(buffer.Output, call, attempt);
        var payload = buffer.Finish();
        // The record of the end repeats that of the start, and adds how the attempt and the call ended.
        var failures = _segments.FlushFailures;
        var room = Math.Max(call.RecordRoom, SpoolFormat.SizeOf(payload.Length + SpoolFormat.EndAllowanceBytes) + ContentRoomOf(call));
        Append(SpoolRecordType.AttemptStarted, payload, room, room - call.RecordRoom);
        call.RecordRoom = room;
        call.RecordHead = (attempt, AuditRecordWriter.HeadOf(payload).ToArray());
        return _segments.Flushes ? new ValueTask(FlushForStartAsync(failures)) : default;
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
        if (held > 0) Volatile.Write(ref _hasEndedCalls, true);
        ReadOnlySpan<byte> record;
        var type = SpoolRecordType.CallEnded;
        try
        {
            var content = call.Caller.Recording is { } recording ? ContentOf(call, recording, held) : null;
            record = WriteEnded(call, status, held, ref content);
            if (content?.Stored is not null) type = SpoolRecordType.CallEndedWithContent;
        }
        catch when (held > 0)
        {
            lock (_gate) _reservations.Release(held);
            throw;
        }
        if (!(held > 0 ? TryAppendEnd(type, record, held, call.GenerationId) : TryAppendRefused(type, record))) return default;
        return _segments.Flushes ? new ValueTask(FlushForEndAsync(call.GenerationId)) : default;
    }

    /// <summary>Appends a record unchanged, if that leaves the reserved space free.</summary>
    /// <exception cref="SpoolUnavailableException">The disk is full or cannot be written, or the spool is closed.</exception>
    public void Append(SpoolRecordType type, ReadOnlySpan<byte> payload) => Append(type, payload, room: 0, more: 0);

    /// <summary>
    /// Appends a record that anyone can cause: it uses no reserved space and no more than its share of the spool, waits in memory for space,
    /// and is counted and dropped if there is none.
    /// </summary>
    public void AppendRefused(SpoolRecordType type, ReadOnlySpan<byte> payload) => TryAppendRefused(type, payload);

    /// <summary>
    /// Writes what waits in memory for space, and creates the spare segment if it is missing. Cheap when there is nothing to do.
    /// </summary>
    public void RetryWrites()
    {
        _segments.RetryCreation();
        if (Waiting > 0) WriteWaiting();
    }

    /// <summary>Flushes everything appended so far to the disk, if the durability setting requires it.</summary>
    public Task FlushAsync() => _segments.FlushAsync();

    /// <summary>As <see cref="FlushAsync()"/>; also fails if another flush, which may have been that of the records, has failed.</summary>
    /// <param name="failures"><see cref="FlushFailures"/> before the first append.</param>
    /// <exception cref="IOException">The disk failed.</exception>
    public Task FlushAsync(long failures) => _segments.FlushAsync(failures);

    /// <summary>
    /// Removes a segment of this node whose records are all in the database, and whose running calls were copied. Its file may be reused.
    /// </summary>
    public void Remove(long segment) => _segments.Remove(segment);

    /// <summary>Erases content that is in the database; false if its segment is not open here.</summary>
    public bool EraseContent(long segment, in SpooledContent content) => _segments.EraseContent(segment, content);

    /// <summary>As <see cref="Remove"/>; its file is deleted and not reused, because it still has content.</summary>
    public void Delete(long segment) => _segments.Remove(segment, mayReuse: false);

    /// <summary>
    /// Deletes all files that have records, as soon as the records are in the database: some of them were erased there.
    /// </summary>
    /// <returns>False if the disk refused it; then the caller tries again.</returns>
    public bool TryRenewFiles()
    {
        try
        {
            _segments.Renew();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SpoolUnavailableException)
        {
            // They are deleted or overwritten later, as always.
            _logger.SpoolNotRenewed(e);
            return false;
        }
    }

    /// <summary>Closes the file of a segment that is put aside.</summary>
    public void Close(long segment) => _segments.Close(segment);

    public void Dispose()
    {
        WriteWaiting();
        if (!_segments.Close()) return;
        if (_waiting.Count > 0) _logger.EndsLost(_waiting.Count);
        if (_refused.Dropped + _refused.Waiting > 0) _logger.RefusalsDropped(_refused.Dropped + _refused.Waiting);
        Folder.Dispose();
        foreach (var folder in _adopted) folder.Dispose();
    }

    private SpoolFolder OpenFolders(TimeProvider time)
    {
        SpoolFolder? own = null;
        foreach (var path in Directory.GetDirectories(_options.Root).Order(StringComparer.Ordinal))
        {
            if (SpoolFolder.TryOpen(path) is not { } folder) continue;
            if (own is null) own = folder;
            else _adopted.Add(folder);
        }
        return own ?? SpoolFolder.Create(_options.Root, Ids.New("node_", time));
    }

    private static ReadOnlySpan<byte> WriteEnded(GatewayCall call, int status, int held, scoped ref CallContent? content)
    {
        var record = WriteEnded(call, status, content, withOwnTimings: true);
        if (Fits(record, held)) return record;
        // Only timings of a builder's own pipeline can have made it longer than was reserved.
        record = WriteEnded(call, status, content, withOwnTimings: false);
        if (content?.Stored is null || Fits(record, held)) return record;
        // The record, and with it the charge, must not be lost for its content.
        content = CallContent.TooLarge(call.Caller.Recording!.Level);
        return WriteEnded(call, status, content, withOwnTimings: false);
    }

    private static bool Fits(ReadOnlySpan<byte> record, int held) =>
        record.Length <= SpoolFormat.MaxPayloadBytes && (held == 0 || SpoolFormat.SizeOf(record.Length) <= held);

    private static ReadOnlySpan<byte> WriteEnded(GatewayCall call, int status, CallContent? content, bool withOwnTimings)
    {
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteEnded(buffer.Output, call, status, withOwnTimings, content?.Member);
        if (content?.Stored is { } stored)
        {
            buffer.Output.Write("\n"u8);
            buffer.Output.Write(stored);
        }
        return buffer.Finish();
    }

    // Space for the content of the call, beside that for its record.
    private static int ContentRoomOf(GatewayCall call) =>
        call.Caller.Recording is { } recording ? CallContent.RoomOf(recording) : 0;

    private CallContent? ContentOf(GatewayCall call, ContentRecording recording, int held)
    {
        try
        {
            if (ContentRoomOf(call) > (_options.SegmentBytes - SpoolFormat.FileHeaderBytes) / 2) return null;
            // Anyone with a key can cause refused calls: they have no space for content.
            return CallContent.Of(call, recording, isStored: held > 0);
        }
        catch (Exception e)
        {
            // The record must not be lost for its content.
            _logger.ContentLost(e, call.GenerationId);
            return null;
        }
    }

    private bool TryAppendEnd(SpoolRecordType type, ReadOnlySpan<byte> record, int held, string generationId)
    {
        var checksum = Crc32C.Append(0, record);
        lock (_gate)
        {
            try
            {
                _segments.Write(type, record, checksum);
            }
            catch (SpoolUnavailableException)
            {
                // Its space stays reserved. Each waiting record is that of an admitted call, and none is admitted while the disk fails: so
                // they need no limit.
                _waiting.Enqueue((type, record.ToArray(), held));
                _waitingBytes += record.Length;
                _logger.EndWaits(generationId, _waiting.Count, _waitingBytes);
                return false;
            }
            catch
            {
                _reservations.Release(held);
                throw;
            }
            _reservations.Release(held);
            return true;
        }
    }

    private bool TryAppendRefused(SpoolRecordType type, ReadOnlySpan<byte> record)
    {
        var checksum = Crc32C.Append(0, record);
        RefusedRecordResult result;
        lock (_gate)
        {
            result = _refused.Add(type, record, checksum);
            _segments.CreateSparesSoon();
        }
        if (result == RefusedRecordResult.Dropped) _logger.RefusalDropped();
        return result == RefusedRecordResult.Appended;
    }

    private void Append(SpoolRecordType type, ReadOnlySpan<byte> payload, int room, int more)
    {
        DemandFits(payload.Length, room);
        var checksum = Crc32C.Append(0, payload);
        lock (_gate)
        {
            _segments.DemandSpace(SpoolFormat.SizeOf(payload.Length), room, more);
            _segments.Write(type, payload, checksum);
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
        _reservations.Add(room, more);
        _segments.CreateSparesSoon();
    }

    private async Task FlushForStartAsync(long failures)
    {
        try
        {
            await _segments.FlushAsync(failures);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw new SpoolUnavailableException("The record of the attempt could not be flushed to the disk.", e);
        }
    }

    private async Task FlushForEndAsync(string generationId)
    {
        // At the database, a record needs no flush of its own: its commit waits for the disk.
        if (WaitsForDatabase && WaitForDatabase is { } wait)
        {
            if (await wait(End)) return;
            _logger.DatabaseLate(generationId);
        }
        try
        {
            await _segments.FlushAsync();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The flush itself logs it. The record is in the system's cache; the response is complete and paid for, so it is sent.
        }
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
                        _segments.Write(ended.Type, ended.Record, Crc32C.Append(0, ended.Record));
                        _waiting.Dequeue();
                        _waitingBytes -= ended.Record.Length;
                        _reservations.Release(ended.Held);
                    }
                    else if (!_refused.TryAppendWaiting())
                    {
                        dropped = _refused.TakeDropped();
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

using Fairlead.Auditing.Administration;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Writes the records of the spool to the database, in order and in batches, and recovers what killed processes left: their finished calls
/// are written, their unfinished ones are recorded as failed and charged by the last checkpoint. An unavailable database delays this and
/// loses nothing: the records wait on disk. A record that is written twice is recognised by its position, or by its id.
/// </summary>
/// <remarks>
/// A segment of this process is given back to the spool when all of it is in the database. Calls that started in it and still run are
/// first copied to the newest segment, so that a long stream does not hold gigabytes. An earlier process's segments are deleted
/// once its open calls have been recorded. If this process is killed during that, the next one does the same again with the same
/// ids.
/// </remarks>
internal sealed class LedgerShipper : BackgroundService
{
    /// <summary>How long a record waits before the next read. A reader that wants it sooner wakes the shipper.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    private static readonly TimeSpan MaxDelay = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan MaxDrain = TimeSpan.FromSeconds(5);

    /// <summary>How long a call waits for the database, if its record must be there before its response is complete.</summary>
    private static readonly TimeSpan MaxDatabaseWait = TimeSpan.FromSeconds(10);

    /// <summary>How often records of changes are looked for that other processes have made, such as a command of this machine.</summary>
    private static readonly TimeSpan ChangesInterval = TimeSpan.FromSeconds(2);

    /// <summary>Maximum records of one transaction, two blocks: about three milliseconds that block other writers.</summary>
    private const int MaxCalls = 2 * Blocks.BlockBuilder.MaxRecords;

    private readonly Spool _spool;
    private readonly IStorage _storage;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly List<SpoolSource> _sources;
    private readonly SpoolSource _own;
    private readonly ChainWriter _chain;
    private readonly PendingChanges _changes;
    private readonly ContentSealer _contents;
    private readonly byte[] _window = new byte[2 * SpoolFile.WindowBytes];
    private readonly Lock _gate = new();
    private readonly List<(SpoolPosition Target, long Changes, TaskCompletionSource Done)> _waiting = [];
    private readonly TaskCompletionSource _replayed = NewSource();
    private readonly ILedgerFollower? _follower;
    private readonly ILedgerWatcher? _watcher;
    private TaskCompletionSource _wake = NewSource();
    private SpoolPosition _shipped;
    private long _takenChanges;
    private long _changesAt;

    // Records that the recovery appended are always written first, so that an operator sees the lost calls after a crash.
    private SpoolPosition _recovered;

    // The spool has content that could not be erased, and that is logged.
    private bool _isErasureLate;

    // Calls of an earlier process may be missing in the ledger for ever.
    private bool _isReplayIncomplete;

    public LedgerShipper(
        Spool spool, IStorage storage, TimeProvider time, ILogger<LedgerShipper> logger, ILedgerFollower? follower = null,
        ILedgerWatcher? watcher = null, ChainWriter? chain = null, PendingChanges? changes = null, ContentSealer? contents = null)
    {
        _contents = contents ?? new ContentSealer(storage, null);
        _chain = chain ?? new ChainWriter(null, null, time, logger);
        _changes = changes ?? new PendingChanges();
        _follower = follower;
        _watcher = watcher;
        _spool = spool;
        _storage = storage;
        _time = time;
        _logger = logger;
        _own = new SpoolSource(spool.Folder, spool);
        // Folders of stopped nodes come first: their records are older.
        _sources = [.. spool.Adopted.Select(folder => new SpoolSource(folder, null)), _own];
        spool.WaitForDatabase = position => WaitAsync(position, 0, MaxDatabaseWait, CancellationToken.None);
    }

    /// <summary>Completes when all that earlier processes of this node, and the nodes that it adopted, left is in the database.</summary>
    public Task Replayed => _replayed.Task;

    /// <summary>Whether all calls of this process have ended and are in the database. Only correct after the service has stopped.</summary>
    public bool HasShippedAll => _replayed.Task.IsCompleted && HasReached(_spool.End) && _own.Open.Count == 0 && _spool.Waiting == 0;

    /// <summary>
    /// Returns when all that is on this node's spool now, and all changes that this process has committed, are in the database, or after
    /// <paramref name="timeout"/>, so that a reader sees its own last call.
    /// </summary>
    /// <returns>False after the timeout.</returns>
    public Task<bool> CatchUpAsync(TimeSpan timeout, CancellationToken cancellationToken) =>
        WaitAsync(_spool.End, _changes.Noted, timeout, cancellationToken);

    /// <summary>One pass over all segments. True when something was done.</summary>
    internal async Task<bool> ShipAsync(CancellationToken cancellationToken)
    {
        _spool.RetryWrites();
        var worked = false;
        foreach (var source in _sources.ToArray()) worked |= await ShipAsync(source, cancellationToken);
        worked |= await TakeChangesAsync(cancellationToken);
        Announce();
        return await NoteReplayedAsync(cancellationToken) || worked;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        var delay = TimeSpan.Zero;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                var end = _spool.End;
                var worked = await ShipAsync(stoppingToken);
                if (delay > TimeSpan.Zero) _logger.ShippingResumed();
                delay = TimeSpan.Zero;
                // Later records wait for more: a commit writes the same pages for one call as for hundreds.
                if (!worked || HasReached(end)) await IdleAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                var first = delay == TimeSpan.Zero;
                delay = first ? Interval : TimeSpan.FromTicks(Math.Min(delay.Ticks * 2, MaxDelay.Ticks));
                if (first || delay == MaxDelay) _logger.ShippingFailed(e, delay);
                try
                {
                    await Task.Delay(delay, _time, stoppingToken);
                }
                catch (OperationCanceledException)
                {
                    return;
                }
            }
        }
    }

    /// <summary>Writes the rest, for a few seconds at most; what remains stays on the spool for the next start.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        using var limit = new CancellationTokenSource(MaxDrain, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            while (await ShipAsync(linked.Token))
            {
            }
            await _chain.CheckpointAsync(_storage, _own.Folder.Node, linked.Token);
        }
        catch (Exception e)
        {
            if (e is not OperationCanceledException) _logger.ShippingFailed(e, TimeSpan.Zero);
            _logger.ShippingLeft();
        }
    }

    public override void Dispose()
    {
        foreach (var source in _sources) source.Dispose();
        base.Dispose();
    }

    private bool HasReached(SpoolPosition end) => _sources.Count == 1 && _own.EarlierDone && _own.Position >= end;

    private async Task<bool> ShipAsync(SpoolSource source, CancellationToken cancellationToken)
    {
        if (source.Known is null)
        {
            await _chain.CheckHeadAsync(_storage, source.Folder.Node, cancellationToken);
            source.Known = await LedgerWriter.ReadPositionAsync(_storage, source.Folder.Node, cancellationToken);
        }
        if (source.AtEndOfEarlier && !source.EarlierDone)
        {
            await FinishEarlierAsync(source, cancellationToken);
            return true;
        }

        var count = source.Read(_window, out var isEnd, out var isClosed);
        var at = 0;
        var contents = new List<SpooledContent>();
        var (calls, read) = Collect(source, count, isEnd, contents, ref at);
        if (calls.Count > 0)
        {
            var after = source.Position with { Offset = source.Position.Offset + at };
            if (calls.FindAll(call => call.Content is not null) is { Count: > 0 } withContent)
                await _contents.SealAsync(withContent, cancellationToken);
            await WriteAsync(new LedgerBatch(source.Folder.Node, calls) { Position = after }, cancellationToken);
        }
        source.OweErasure(contents);
        if (source.OwesErasure) await EraseAsync(source, cancellationToken);
        source.Advance(at);
        if (read != SpoolRead.End || !isClosed) return at > 0;

        if (source.AtEndOfEarlier) await GiveUpAsync(source, source.Position.Segment, cancellationToken);
        source.Next();
        return true;
    }

    private async Task<int> WriteAsync(LedgerBatch batch, CancellationToken cancellationToken)
    {
        var written = await LedgerWriter.WriteAsync(
            _storage, _chain, batch, _follower, _watcher, _spool.WaitsForDatabase, cancellationToken);
        _watcher?.Committed();
        return written;
    }

    private async Task<bool> TakeChangesAsync(CancellationToken cancellationToken)
    {
        var noted = _changes.Noted;
        if (noted == _takenChanges && _changesAt != 0 && _time.GetElapsedTime(_changesAt) < ChangesInterval) return false;
        bool any;
        await using (var connection = await _storage.OpenAsync(cancellationToken))
            any = await ChangeTable.AnyAsync(connection, cancellationToken);
        var taken = any ? await WriteAsync(new LedgerBatch(_own.Folder.Node, []) { TakesChanges = true }, cancellationToken) : 0;
        // There may be more, also behind rows that are no records.
        if (taken > 0) return true;
        _changesAt = _time.GetTimestamp();
        _takenChanges = noted;
        return false;
    }

    private (List<ShippedCall> Calls, SpoolRead Read) Collect(
        SpoolSource source, int count, bool isEnd, List<SpooledContent> contents, ref int at)
    {
        var calls = new List<ShippedCall>();
        var start = source.Position;
        var stamp = SpoolFormat.StampOf(start.Segment);
        SpoolRead read;
        while ((read = SpoolFormat.Next(_window.AsSpan(0, count), ref at, isEnd, stamp, out var record)) == SpoolRead.Found)
        {
            if (!source.Open.Observe(record.Type, record.Payload, start.Segment)) NoteUnreadable(source, start.Segment);
            var end = start with { Offset = start.Offset + record.End };
            if (KindOf(record.Type) is not { } kind) continue;
            var payload = _window.AsMemory(record.PayloadStart, record.Payload.Length);
            var content = (ReadOnlyMemory<byte>?)null;
            var place = default(SpooledContent);
            if (record.Type == SpoolRecordType.CallEndedWithContent && payload.Span.IndexOf((byte)'\n') is >= 0 and var border)
            {
                (payload, content) = (payload[..border], payload[(border + 1)..]);
                place = new SpooledContent(
                    start.Offset + record.PayloadStart - SpoolFormat.RecordHeaderBytes, record.Payload.Length, payload.Length,
                    record.Sequence, Crc32C.Append(0, payload.Span));
            }
            // The database has it. The process that wrote it there may have been killed before it erased the content.
            if (end <= source.Known!.Value)
            {
                if (content is not null) contents.Add(place);
                continue;
            }
            if (ShippedCall.Read(payload, record.Sequence, kind) is { } call)
            {
                if (content is not null)
                {
                    call.Content = content;
                    contents.Add(place);
                }
                call.EndedHere = source.IsLive && source.AtEndOfEarlier && IsEnd(record.Type);
                call.IsRecovered = record.Type == SpoolRecordType.CallRecovered;
                call.Position = end;
                calls.Add(call);
            }
            else
            {
                NoteUnreadable(source, start.Segment);
            }
            if (calls.Count == MaxCalls) break;
        }
        return (calls, read);
    }

    private static bool IsEnd(SpoolRecordType type) => type is SpoolRecordType.CallEnded or SpoolRecordType.CallEndedWithContent;

    private static AuditRecordKind? KindOf(SpoolRecordType type) => type switch
    {
        SpoolRecordType.CallEnded or SpoolRecordType.CallEndedWithContent or SpoolRecordType.CallRecovered => AuditRecordKind.Generation,
        SpoolRecordType.AdministrationRecorded => AuditRecordKind.Administration,
        _ => null,
    };

    // Content stays on the spool only until the database has it.
    private async Task EraseAsync(SpoolSource source, CancellationToken cancellationToken)
    {
        // Otherwise a power failure could take both. A commit at that durability has waited for the disk.
        if (!_spool.WaitsForDatabase) await SyncAsync(cancellationToken);
        try
        {
            source.EraseContents();
            _isErasureLate = false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next pass tries again, four times a second.
            if (!_isErasureLate) _logger.ContentNotErased(e);
            _isErasureLate = true;
        }
    }

    // The segment has been read to its end and is in the database. Calls that started in it and still run go to the newest segment.
    private async Task GiveUpAsync(SpoolSource source, long segment, CancellationToken cancellationToken)
    {
        await SyncAsync(cancellationToken);
        var failures = _spool.FlushFailures;
        var copies = new List<(string GenerationId, long Segment)>();
        foreach (var (id, began, progress) in source.Open.StartedUpTo(segment))
        {
            var now = _spool.End.Segment;
            _spool.Append(SpoolRecordType.AttemptCarried, began);
            if (progress is not null) _spool.Append(SpoolRecordType.AttemptProgressed, progress);
            copies.Add((id, now));
        }
        if (copies.Count > 0) await _spool.FlushAsync(failures);
        // Only now: if the flush failed, the next attempt copies them again.
        foreach (var (id, now) in copies) source.Open.Moved(id, now);
        source.Discard(segment);
    }

    // A segment may be all that a power failure leaves of its calls, until the database has flushed them.
    private Task SyncAsync(CancellationToken cancellationToken) =>
        _spool.Flushes ? LedgerWriter.SyncAsync(_storage, cancellationToken) : Task.CompletedTask;

    private async Task FinishEarlierAsync(SpoolSource source, CancellationToken cancellationToken)
    {
        if (source.EarlierSegments.Count > 0) await SyncAsync(cancellationToken);
        var failures = _spool.FlushFailures;
        var lost = source.LostRecorded ? [] : source.Open.Lost();
        foreach (var record in lost) _spool.Append(SpoolRecordType.CallRecovered, record);
        if (lost.Count > 0)
        {
            _recovered = _spool.End;
            await _spool.FlushAsync(failures);
            _logger.CallsRecovered(source.Folder.Node, lost.Count);
        }
        source.LostRecorded = true;
        // From here on this node's spool has all that the ledger lacks. Before the segments are deleted: otherwise no process would know
        // that the node's leases can be released.
        if (!source.IsLive && _follower is not null) await _follower.AdoptAsync(source.Folder.Node, _own.Folder.Node, cancellationToken);
        foreach (var segment in source.EarlierSegments) source.Discard(segment);
        source.Open.Clear();
        source.Open.IsLive = true;
        source.EarlierDone = true;
        if (source.IsLive) return;
        _sources.Remove(source);
        source.Dispose();
        source.Folder.Remove();
        await LedgerWriter.ForgetNodeAsync(_storage, source.Folder.Node, cancellationToken);
    }

    private void NoteUnreadable(SpoolSource source, long segment)
    {
        if (!source.IsLive || !source.AtEndOfEarlier) _isReplayIncomplete = true;
        if (source.Unreadable.Add(segment)) _logger.RecordUnreadable(source.Folder.Node, segment);
    }

    private async Task<bool> NoteReplayedAsync(CancellationToken cancellationToken)
    {
        if (_replayed.Task.IsCompleted || _sources.Count > 1 || !_own.EarlierDone || _own.Position < _recovered) return false;
        // Otherwise what earlier processes held stays held until it is written off.
        if (_follower is not null && !_isReplayIncomplete) await _follower.ReplayedAsync(_own.Folder.Node, cancellationToken);
        _replayed.TrySetResult();
        return true;
    }

    private void Announce()
    {
        lock (_gate)
        {
            _shipped = _own.EarlierDone && _own.Position >= _recovered ? _own.Position : default;
            for (var i = _waiting.Count - 1; i >= 0; i--)
            {
                if (_waiting[i].Target > _shipped || _waiting[i].Changes > _takenChanges) continue;
                _waiting[i].Done.TrySetResult();
                _waiting.RemoveAt(i);
            }
        }
    }

    private async Task<bool> WaitAsync(SpoolPosition target, long changes, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var source = NewSource();
        lock (_gate)
        {
            if (_shipped >= target && _takenChanges >= changes) return true;
            _waiting.Add((target, changes, source));
            _wake.TrySetResult();
        }
        try
        {
            await source.Task.WaitAsync(timeout, _time, cancellationToken);
            return true;
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            lock (_gate) _waiting.RemoveAll(waiting => waiting.Done == source);
            if (e is OperationCanceledException) throw;
            return false;
        }
    }

    private async Task IdleAsync(CancellationToken cancellationToken)
    {
        Task wake;
        lock (_gate)
        {
            if (_wake.Task.IsCompleted) _wake = NewSource();
            if (_waiting.Count > 0) return;
            wake = _wake.Task;
        }
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await Task.WhenAny(wake, Task.Delay(Interval, _time, timer.Token));
        // Otherwise each early wake would leave its timer running.
        await timer.CancelAsync();
        cancellationToken.ThrowIfCancellationRequested();
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

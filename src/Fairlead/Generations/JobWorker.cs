using System.Collections.Concurrent;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Takes jobs from the queue while this node has room for them, runs them, and keeps their leases alive. Several nodes may do so on one
/// database.
/// </summary>
internal sealed class JobWorker(
    IStorage storage,
    IGenerationStore store,
    GenerationQueue queue,
    RunLeases leases,
    GenerationEnds ends,
    CallerSnapshots snapshots,
    RunningGenerations running,
    GenerationRunner runner,
    JobCalls calls,
    HeldReservations held,
    DrainState drain,
    MemoryBudget memory,
    IConfigurationSource configuration,
    TokenCounter counter,
    TimeProvider time,
    ILogger<JobWorker> logger) : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StorePause = TimeSpan.FromSeconds(1);

    /// <summary>A request is held as it came, as its provider is sent it, and as its texts.</summary>
    private const int Copies = 3;

    // Results of lines wait for the end of their batch, with which they go; this is for a batch that never has one.
    private static readonly TimeSpan LineTtl = TimeSpan.FromDays(60);

    /// <summary>
    /// How long one that ran when a process died has this node to itself. By then it has done most of what could kill the process, and the queue goes on beside it; if the
    /// process dies all the same, it has the next run to itself until the end.
    /// </summary>
    private static readonly TimeSpan LoneTime = TimeSpan.FromSeconds(30);

    /// <summary>Part of its lease after which a run that could not renew stops: what is left is for the upstream connection to close and for clocks that run apart.</summary>
    private const double LastPart = 5.0 / 6;

    /// <summary>Longer than a statement whose answer was lost can take.</summary>
    private static readonly TimeSpan DisownedFor = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan CheckPause = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly StoreWatch _watch = new(time);
    private readonly Dictionary<string, int> _orphans = new(StringComparer.Ordinal);

    /// <summary>Generations that must not run if the database has them, by their ids.</summary>
    private readonly ConcurrentDictionary<string, Disowned> _disowned = new(StringComparer.Ordinal);
    private TaskCompletionSource _wake = NewSignal();
    private long? _checkedAt;
    private long? _orphansAt;
    private double _averageSeconds;

    /// <summary>Name of this process in leases: another one for every start.</summary>
    public string Owner { get; } = Ids.New("node_", time);

    /// <summary>Mean time of the last runs; null before the first.</summary>
    public TimeSpan? AverageRun => _averageSeconds > 0 ? TimeSpan.FromSeconds(_averageSeconds) : null;

    public TimeSpan Lease => configuration.Current.Jobs.Lease;

    /// <summary>There is, or may be, something to do.</summary>
    public void Wake()
    {
        lock (_gate) _wake.TrySetResult();
    }

    /// <summary>A run that began with its request is in the database, asked for at <paramref name="askedAt"/>, and ends there like those of the queue.</summary>
    public void Adopt(GenerationRun run, GenerationRecord record, long askedAt, TimeSpan lease)
    {
        run.Call.RunLease = new RunLease(record.Id, Owner, record.Runs);
        running.Add(new HeldRun(run, record.Runs, isLeased: false, suspicion: 0, askedAt, lease));
    }

    /// <summary>
    /// The run of <paramref name="record"/> ends, or never begins, without the database, which may have it all the same: the response to the statement that added or ended it was lost. When it
    /// is found there it is ended, and not begun once more.
    /// </summary>
    public void Disown(GenerationRecord record, GatewayError error) =>
        _disowned[record.Id] = new Disowned(record.ProjectId, NeverRun(record, Outcome.Failed, error), time.GetTimestamp(), record.Status == GenerationStatus.Queued);

    /// <summary>A generation whose client was told that there is none.</summary>
    /// <param name="ProjectId">Its project.</param>
    /// <param name="End">The end that it gets where it is found.</param>
    /// <param name="Since">When it was disowned.</param>
    /// <param name="Waits">Whether it waits in the queue, where any node may begin it, rather than runs here.</param>
    private sealed record Disowned(string ProjectId, GenerationEnd End, long Since, bool Waits);

    /// <summary>Lets a run that is held by this node in the database end there; returns when it has.</summary>
    public async Task FinishAsync(GenerationRun run, GenerationRecord record)
    {
        // The process stays until the result is kept, too.
        drain.Enter();
        try
        {
            var result = await run.Completion;
            Note(run);
            await KeepEndAsync(run, record, result);
        }
        catch (Exception exception)
        {
            JobsLog.RunLost(logger, run.Id, exception);
            // It ran and is charged, so it does not run again.
            Disown(record, new GatewayError(ErrorCode.InternalError, "The generation ran, but its result could not be kept."));
        }
        finally
        {
            running.Remove(run);
            await run.Events.CloseAsync();
            run.Dispose();
            storage.Notifier.Announce(JobNotices.Changed, record.Id);
            Wake();
            drain.Leave();
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var queued = storage.Notifier.Subscribe(JobNotices.Queued, _ => Wake());
        using var cancels = storage.Notifier.Subscribe(JobNotices.Cancel, id =>
        {
            if (id is not null) running.Find(id)?.Stop(CancellationReason.Requested);
        });
        // Only PostgreSQL has other nodes that could take a run over.
        await Task.WhenAll(TakeAlwaysAsync(stoppingToken), RenewAlwaysAsync(stoppingToken), storage.Provider == StorageProvider.Sqlite ? Task.CompletedTask : WatchAlwaysAsync(stoppingToken));
    }

    private async Task TakeAlwaysAsync(CancellationToken stoppingToken)
    {
        // This process holds the lock on the data folder, so whatever stands as running in its file belongs to one that is gone.
        var released = storage.Provider != StorageProvider.Sqlite;
        await using var presence = new NodePresence(storage, time);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (!released)
                {
                    await leases.ReleaseAllAsync(stoppingToken);
                    released = true;
                }
                await presence.HoldAsync(Owner, stoppingToken);
                if (!drain.IsDraining && snapshots.Current is not null)
                {
                    await TakeOverAsync(stoppingToken);
                    await FillAsync(stoppingToken);
                }
                await CheckReservationsAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                // Nothing is lost: leases and rows stand, and the next look is a second away.
                Failed(exception);
            }
            await WaitAsync(stoppingToken);
        }
    }

    private async Task RenewAlwaysAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            var lease = Lease;
            try
            {
                await RenewAsync(lease, stoppingToken);
                await EndDisownedAsync(stoppingToken);
                await FindOrphansAsync(lease, stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                Failed(exception);
            }
            var pause = lease / 4;
            await Task.Delay(pause < Look ? pause : Look, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Stops runs whose lease is about to end. On its own, since a database that does not answer holds up whoever asks it.</summary>
    private async Task WatchAlwaysAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            foreach (var held in running.All())
            {
                if (held.IsLost || held.PassedBy(time) < LastPart) continue;
                held.IsLost = true;
                JobsLog.NotRenewed(logger, held.Run.Id, held.Number);
                held.Run.Stop(CancellationReason.LeaseLost);
            }
            var pause = Lease / 20;
            await Task.Delay(pause < TimeSpan.FromMilliseconds(500) ? pause : TimeSpan.FromMilliseconds(500), time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void Failed(Exception exception)
    {
        _watch.Failed();
        JobsLog.StoreAway(logger, StorageFaults.IsStoreFault(exception) ? StorageFaults.Describe(exception) : exception is OperationCanceledException ? "it did not answer in time" : exception.ToString());
    }

    private async Task TakeOverAsync(CancellationToken cancellationToken)
    {
        // After an outage those who live renew first. On SQLite there are none.
        var lease = Lease;
        if (storage.Provider != StorageProvider.Sqlite && !_watch.HasAnsweredFor(lease)) return;
        var asked = time.GetTimestamp();
        var convicted = await leases.TakeOverAsync(Owner, lease, cancellationToken);
        if (storage.Provider != StorageProvider.Sqlite && time.GetElapsedTime(asked) > StoreWatch.GapOf(lease)) _watch.Failed();
        foreach (var guilty in convicted) Begin(guilty, isAlone: false, asked, lease);
    }

    private async Task FillAsync(CancellationToken cancellationToken)
    {
        var lease = Lease;
        // What began with its request asked for no room, and however much there is of it, the queue goes on.
        var room = configuration.Current.Jobs.Workers - running.Leased;
        if (room <= 0 || (memory.IsExhausted && running.Leased > 0) || running.All().Any(IsAlone))
        {
            return;
        }
        var asked = time.GetTimestamp();
        var leased = await queue.LeaseAsync(Owner, lease, room, running.Leased == 0, cancellationToken);
        _watch.Answered(lease);
        foreach (var record in leased.Taken) await BeginAsync(record, asked, lease, cancellationToken);
        if (leased.Taken.Count == room) Wake();
    }

    private bool IsAlone(HeldRun held) => held is { IsLeased: true, Suspicion: > 0 } && (held.Suspicion > 1 || time.GetElapsedTime(held.BegunAt) < LoneTime);

    /// <summary>Lets go of what is held for jobs that no longer wait, when the word of it was lost.</summary>
    private async Task CheckReservationsAsync(CancellationToken cancellationToken)
    {
        if (storage.Provider == StorageProvider.Sqlite || held.Count == 0) return;
        if (_checkedAt is { } before && time.GetElapsedTime(before) < CheckPause) return;
        _checkedAt = time.GetTimestamp();
        var ids = held.ToCheck();
        if (ids.Count == 0) return;
        // In the same loop that begins jobs, so that none is begun between the look and what follows from it.
        var waiting = await queue.WaitingAsync(ids, cancellationToken);
        foreach (var id in ids)
        {
            if (!waiting.Contains(id)) held.Release(id);
        }
    }

    private async Task BeginAsync(GenerationRecord head, long askedAt, TimeSpan lease, CancellationToken cancellationToken)
    {
        // Its request is read now and not with its turn in the queue, and only where there is room for it. One that is larger than all of the budget runs alone.
        var isAlone = running.Leased == 0;
        if (!isAlone && !memory.HasRoomFor(Copies * head.RequestBytes))
        {
            await PutBackAsync(head);
            return;
        }
        GenerationRecord record;
        try
        {
            await calls.LoadCallerAsync(head.KeyId, head.ProjectId, cancellationToken);
            record = head with { Request = head.CancelRequested ? [] : await queue.RequestAsync(head.Id, cancellationToken) ?? [] };
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            JobsLog.StoreAway(logger, StorageFaults.Describe(exception));
            await PutBackAsync(head);
            return;
        }
        try
        {
            Begin(record, isAlone, askedAt, lease);
        }
        catch (MemoryExhaustedException)
        {
            await PutBackAsync(head);
        }
    }

    /// <summary>There was no room for it: it waits again, and the run does not count.</summary>
    private Task<GenerationReturn> PutBackAsync(GenerationRecord record) =>
        KeepAsync(() => queue.ReturnAsync(record.Id, Owner, record.Runs, Look, countRun: false, CancellationToken.None));

    private void Begin(GenerationRecord record, bool isAlone, long askedAt, TimeSpan lease)
    {
        var reservation = held.Take(record.Id);
        if (_disowned.TryGetValue(record.Id, out var disowned))
        {
            if (reservation is not null) held.Keep(record.Id, reservation);
            _ = RefuseAsync(record, disowned.End);
            return;
        }
        var jobs = configuration.Current.Jobs;
        GatewayError? error = null;
        GenerationRun? run = null;
        var outcome = Outcome.Failed;
        if (record.Suspicion < 0) error = new GatewayError(ErrorCode.InternalError, "The process died while it ran this generation, and died again while it ran nothing else. The generation is not run again.");
        else if (record.CancelRequested) (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
        else if (record.Runs - record.Returns > jobs.MaxRuns) error = new GatewayError(ErrorCode.InternalError, $"The generation was begun {jobs.MaxRuns} times, and none of its runs came to an end.");
        else
        {
            try
            {
                if (record.EventCount > 0 && calls.CannotRestartStream(record)) error = new GatewayError(ErrorCode.InternalError, "The process that made this response stopped in the midst of it. A stream in this dialect cannot be begun anew.");
                else (run, error) = calls.RunOf(record, isAlone);
            }
            catch (MemoryExhaustedException)
            {
                if (reservation is not null) held.Keep(record.Id, reservation);
                throw;
            }
            catch (Exception exception)
            {
                // One that cannot be read ends here. Given back, it would come again and hold up those that were taken with it.
                JobsLog.RunLost(logger, record.Id, exception);
                error = new GatewayError(ErrorCode.InternalError, "The request of this generation could not be read when its turn came.");
            }
        }

        if (run is null)
        {
            if (reservation is not null) held.Keep(record.Id, reservation);
            _ = RefuseAsync(record, NeverRun(record, outcome, error!));
            return;
        }
        run.Call.Reservation = reservation;
        run.Call.RunLease = new RunLease(record.Id, Owner, record.Runs);
        run.Start(runner.RunAsync);
        running.Add(new HeldRun(run, record.Runs, isLeased: true, record.Suspicion, askedAt, lease));
        storage.Notifier.Announce(JobNotices.Changed, record.Id);
        _ = FinishAsync(run, record with { Request = [] });
    }

    private async Task RefuseAsync(GenerationRecord record, GenerationEnd end)
    {
        try
        {
            await KeepAsync(() => ends.EndAsync(record.Id, Owner, record.Runs, end, NewEvents.None, CancellationToken.None));
        }
        catch (Exception exception)
        {
            JobsLog.RunLost(logger, record.Id, exception);
        }
        finally
        {
            storage.Notifier.Announce(JobNotices.Changed, record.Id);
        }
    }

    /// <summary>The end of a generation that did not run.</summary>
    public GenerationEnd NeverRun(GenerationRecord record, Outcome outcome, GatewayError error) =>
        NeverRun(record.Dialect, record.RequestId, outcome, error, TtlOf(record));

    /// <summary>The end of all lines of a batch that did not run.</summary>
    public GenerationEnd LineNeverRun(string dialect, string requestId, Outcome outcome, GatewayError error) => NeverRun(dialect, requestId, outcome, error, LineTtl);

    private GenerationEnd NeverRun(string dialect, string requestId, Outcome outcome, GatewayError error, TimeSpan ttl)
    {
        var site = new PublicAddress(configuration.Current.PublicUrl, null, null, null);
        var shape = calls.ShapeOf(dialect);
        using var body = new Streaming.PooledBuffer();
        ErrorBodyWriter.WriteBody(body, error, shape, requestId, site);
        var now = time.GetUtcNow();
        return new GenerationEnd(outcome.ToStatus(), outcome, ErrorBodyWriter.StatusOf(error, shape), body.WrittenSpan.ToArray(), GenerationDetails.Of(requestId, site, error), now, now + ttl);
    }

    private TimeSpan TtlOf(GenerationRecord record) => record.Batch is null ? configuration.Current.Jobs.ResultTtl : LineTtl;

    private async Task KeepEndAsync(GenerationRun run, GenerationRecord record, RunResult result)
    {
        var jobs = configuration.Current.Jobs;
        var now = time.GetUtcNow();
        var cancelled = false;
        if (result.Stopped is CancellationReason.Shutdown or CancellationReason.LeaseLost)
        {
            // Of a run whose lease ended here nothing is written; where nobody has taken it over, it waits again.
            var given = await KeepAsync(() => queue.ReturnAsync(record.Id, Owner, record.Runs, TimeSpan.Zero, countRun: false, CancellationToken.None));
            if (given == GenerationReturn.Returned) storage.Notifier.Announce(JobNotices.Queued, record.Id);
            if (given == GenerationReturn.Lost) JobsLog.TakenOver(logger, run.Id, record.Runs);
            if (given != GenerationReturn.CancelRequested) return;
            cancelled = true;
        }
        // A run that this node could not record, or had no memory for, was not sent, and takes none of the job's runs.
        else if (result.Error is { } error && IsPassing(error) && !run.IsTold && (IsUnsent(run, error) || record.Runs - record.Returns < jobs.MaxRuns))
        {
            var pause = Pause(jobs, record.Runs - record.Returns, error.RetryAfter);
            if (record.Deadline is null || now + pause < record.Deadline)
            {
                var given = await KeepAsync(() => queue.ReturnAsync(record.Id, Owner, record.Runs, pause, countRun: !IsUnsent(run, error), CancellationToken.None));
                if (given == GenerationReturn.Returned) JobsLog.RunAgain(logger, record.Id, record.Runs, error.Definition.Name, pause.TotalSeconds);
                if (given == GenerationReturn.Lost) JobsLog.TakenOver(logger, run.Id, record.Runs);
                if (given != GenerationReturn.CancelRequested) return;
                cancelled = true;
            }
        }
        if (cancelled)
        {
            // Somebody asked for it before it was back in the queue.
            var (outcome, reason) = CallOutcome.Of(CancellationReason.Requested);
            // One end for all tries, so that a repeated one finds what the first has written.
            var never = NeverRun(record, outcome, reason);
            await KeepAsync(() => ends.EndAsync(record.Id, Owner, record.Runs, never, NewEvents.None, CancellationToken.None));
            return;
        }
        var end = new GenerationEnd(result.Outcome.ToStatus(), result.Outcome, result.Status, result.Body, result.Details, now, now + TtlOf(record));
        // In one transaction with the end: who sees that it has ended finds all its events.
        var last = await run.Events.TakeAsync();
        var kept = false;
        try
        {
            kept = await KeepAsync(() => ends.EndAsync(record.Id, Owner, record.Runs, end, last, CancellationToken.None));
        }
        finally
        {
            if (kept) run.Events.Written(last);
            else run.Events.NotWritten(last);
        }
        if (!kept) JobsLog.TakenOver(logger, run.Id, record.Runs);
    }

    /// <summary>The result exists and is paid for: it waits for the database as long as the process lives.</summary>
    private async Task<T> KeepAsync<T>(Func<Task<T>> write)
    {
        while (true)
        {
            try
            {
                return await write();
            }
            catch (Exception exception) when (StorageFaults.IsStoreFault(exception) && !drain.LimitReached.IsCancellationRequested)
            {
                JobsLog.StoreAway(logger, StorageFaults.Describe(exception));
            }
            await Task.Delay(StorePause, time, CancellationToken.None);
        }
    }

    private async Task RenewAsync(TimeSpan lease, CancellationToken cancellationToken)
    {
        var renewing = new List<(HeldRun Held, RunProgress Progress)>();
        foreach (var one in running.All())
        {
            var progress = one.IsLost ? null : one.Run.TakeProgress(counter);
            // By time that has passed, not by the time of day, which may be set.
            if (!one.IsLost && (progress is not null || one.PassedBy(time) >= 0.25)) renewing.Add((one, new RunProgress(one.Run.Id, one.Number, progress)));
        }
        if (renewing.Count == 0) return;
        var asked = time.GetTimestamp();
        using var limit = new CancellationTokenSource(lease / 2, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        var renewed = await leases.RenewAsync(Owner, renewing.ConvertAll(one => one.Progress), lease, both.Token);
        _watch.Answered(lease);
        foreach (var (one, _) in renewing)
        {
            if (!renewed.TryGetValue(one.Run.Id, out var cancelled))
            {
                // A run that has just ended is not held any more either; to stop that one does nothing.
                one.IsLost = true;
                one.Run.Stop(CancellationReason.LeaseLost);
                continue;
            }
            one.Renewed(asked, lease);
            if (cancelled) one.Run.Stop(CancellationReason.Requested);
        }
    }

    /// <summary>Ends those that were disowned and wait in the queue; asks those that some node has begun since to stop.</summary>
    private async Task EndDisownedAsync(CancellationToken cancellationToken)
    {
        foreach (var (id, disowned) in _disowned)
        {
            if (!disowned.Waits) continue;
            var found = await store.CancelAsync(disowned.ProjectId, id, disowned.End, cancellationToken);
            if (found == GenerationStatus.Queued) storage.Notifier.Announce(JobNotices.Changed, id);
            if (found == GenerationStatus.InProgress) storage.Notifier.Announce(JobNotices.Cancel, id);
            // What is not there may still be on its way for a while.
            if (found is not null || time.GetElapsedTime(disowned.Since) > DisownedFor) _disowned.TryRemove(id, out _);
        }
    }

    /// <summary>
    /// Gives back runs that the database believes to be here and that are not: the answer to a statement that began one was lost. Those found twice in a row, since one may
    /// be about to begin or to end. Those that were disowned end at once.
    /// </summary>
    private async Task FindOrphansAsync(TimeSpan lease, CancellationToken cancellationToken)
    {
        if (_orphansAt is { } before && time.GetElapsedTime(before) < lease / 3) return;
        _orphansAt = time.GetTimestamp();
        var found = await leases.HeldByAsync(Owner, cancellationToken);
        _watch.Answered(lease);
        var missing = found.Where(one => !running.Has(one.Id, one.Run)).ToArray();
        var orphans = missing.Where(one => _disowned.ContainsKey(one.Id) || (_orphans.TryGetValue(one.Id, out var run) && run == one.Run)).ToArray();
        _orphans.Clear();
        foreach (var (id, run) in missing) _orphans[id] = run;
        // Of the others the database has no run by now, or one that is ended below.
        foreach (var (id, disowned) in _disowned)
        {
            if (!disowned.Waits && !_orphans.ContainsKey(id) && time.GetElapsedTime(disowned.Since) > DisownedFor) _disowned.TryRemove(id, out _);
        }
        foreach (var (id, run) in orphans)
        {
            if (_disowned.TryGetValue(id, out var disowned))
            {
                await ends.EndAsync(id, Owner, run, disowned.End, NewEvents.None, cancellationToken);
                storage.Notifier.Announce(JobNotices.Changed, id);
                continue;
            }
            if (await queue.ReturnAsync(id, Owner, run, TimeSpan.Zero, countRun: false, cancellationToken) == GenerationReturn.Returned) Wake();
        }
    }

    private async Task WaitAsync(CancellationToken stoppingToken)
    {
        Task signal;
        lock (_gate) signal = _wake.Task;
        try
        {
            await signal.WaitAsync(Look, time, stoppingToken);
        }
        catch (TimeoutException)
        {
            return;
        }
        catch (OperationCanceledException)
        {
            return;
        }
        lock (_gate) _wake = NewSignal();
    }

    private void Note(GenerationRun run)
    {
        var seconds = run.Call.Timings.Elapsed.TotalSeconds;
        _averageSeconds = _averageSeconds <= 0 ? seconds : (_averageSeconds * 0.9) + (seconds * 0.1);
    }

    private static bool IsUnsent(GenerationRun run, GatewayError error) => error.Code is ErrorCode.StoreUnavailable or ErrorCode.Overloaded && !run.Call.Attempts.Exists(attempt => attempt.Sent);

    private static bool IsPassing(GatewayError error) => error.IsRetryable && error.Code is not ErrorCode.Conflict;

    private static TimeSpan Pause(JobsConfig jobs, int run, TimeSpan? advised)
    {
        var pause = jobs.Backoff * Math.Pow(2, Math.Clamp(run - 1, 0, 16));
        if (pause > TimeSpan.FromMinutes(10)) pause = TimeSpan.FromMinutes(10);
        return advised is { } wait && wait > pause ? wait : pause;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

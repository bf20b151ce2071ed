using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Jobs;

/// <summary>
/// Takes jobs from the queue while this node has room for them, runs them, and keeps their leases alive. Several nodes may do so on one
/// database.
/// </summary>
internal sealed class JobWorker(
    IStorage storage,
    IGenerationStore store,
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

    private readonly Lock _gate = new();
    private TaskCompletionSource _wake = NewSignal();
    private DateTimeOffset _renewed;
    private double _averageSeconds;

    /// <summary>Name of this process in leases: another one for every start.</summary>
    public string Owner { get; } = Ids.New("node_", time);

    /// <summary>Mean time of the last runs; null before the first.</summary>
    public TimeSpan? AverageRun => _averageSeconds > 0 ? TimeSpan.FromSeconds(_averageSeconds) : null;

    public DateTimeOffset LeaseEnd => time.GetUtcNow() + configuration.Current.Jobs.Lease;

    /// <summary>There is, or may be, something to do.</summary>
    public void Wake()
    {
        lock (_gate) _wake.TrySetResult();
    }

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
        // Nobody else can be at work on this file, so whatever stands as running belongs to a process that is gone.
        var released = storage.Provider != StorageProvider.Sqlite;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (!released)
                {
                    await store.ReleaseAllAsync(stoppingToken);
                    released = true;
                }
                await RenewAsync(stoppingToken);
                if (!drain.IsDraining && snapshots.Current is not null) await FillAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                // Nothing is lost: leases and rows stand, and the next look is a second away.
                JobsLog.StoreAway(logger, StorageFaults.IsStoreFault(exception) ? StorageFaults.Describe(exception) : exception.ToString());
            }
            await WaitAsync(stoppingToken);
        }
    }

    private async Task FillAsync(CancellationToken cancellationToken)
    {
        // What began with its request asked for no room, and however much there is of it, the queue goes on.
        var room = configuration.Current.Jobs.Workers - running.Leased;
        if (room <= 0 || (memory.IsExhausted && running.Leased > 0)) return;
        var taken = await store.LeaseAsync(Owner, time.GetUtcNow(), LeaseEnd, room, cancellationToken);
        foreach (var record in taken) await BeginAsync(record, cancellationToken);
        if (taken.Count == room) Wake();
    }

    private async Task BeginAsync(GenerationRecord head, CancellationToken cancellationToken)
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
            record = head with { Request = head.CancelRequested ? [] : await store.RequestAsync(head.Id, cancellationToken) ?? [] };
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            JobsLog.StoreAway(logger, StorageFaults.Describe(exception));
            await PutBackAsync(head);
            return;
        }
        try
        {
            Begin(record, isAlone);
        }
        catch (MemoryExhaustedException)
        {
            await PutBackAsync(head);
        }
    }

    /// <summary>There was no room for it: it waits again, and the run does not count.</summary>
    private Task<bool> PutBackAsync(GenerationRecord record) =>
        KeepAsync(() => store.ReturnAsync(record.Id, Owner, record.Runs, time.GetUtcNow() + Look, countRun: false, CancellationToken.None));

    private void Begin(GenerationRecord record, bool isAlone)
    {
        var reservation = held.Take(record.Id);
        var jobs = configuration.Current.Jobs;
        GatewayError? error = null;
        GenerationRun? run = null;
        var outcome = Outcome.Failed;
        if (record.CancelRequested) (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
        else if (record.EventCount > 0 && calls.TellsOnce(record)) error = new GatewayError(ErrorCode.InternalError, "The process that made this response stopped in the midst of it. A stream in this dialect cannot be begun anew.");
        else if (record.Runs - record.Returns > jobs.MaxRuns) error = new GatewayError(ErrorCode.InternalError, $"The generation was begun {jobs.MaxRuns} times, and none of its runs came to an end.");
        else
        {
            try
            {
                (run, error) = calls.RunOf(record, isAlone);
            }
            catch (MemoryExhaustedException)
            {
                if (reservation is not null) held.Keep(record.Id, reservation);
                throw;
            }
        }

        if (run is null)
        {
            if (reservation is not null) held.Keep(record.Id, reservation);
            _ = RefuseAsync(record, outcome, error!);
            return;
        }
        run.Call.Reservation = reservation;
        run.Start(runner.RunAsync);
        running.AddLeased(run, record.Runs);
        storage.Notifier.Announce(JobNotices.Changed, record.Id);
        _ = FinishAsync(run, record with { Request = [] });
    }

    private async Task RefuseAsync(GenerationRecord record, Outcome outcome, GatewayError error)
    {
        try
        {
            await KeepAsync(() => store.EndAsync(record.Id, Owner, record.Runs, NeverRun(record, outcome, error), [], CancellationToken.None));
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
        if (result.Stopped == CancellationReason.LeaseLost) return;
        if (result.Stopped == CancellationReason.Shutdown)
        {
            await KeepAsync(() => store.ReturnAsync(record.Id, Owner, record.Runs, now, countRun: false, CancellationToken.None));
            storage.Notifier.Announce(JobNotices.Queued, record.Id);
            return;
        }
        if (result.Error is { Code: ErrorCode.Overloaded } && !run.IsTold && !run.Call.Attempts.Exists(static attempt => attempt.Sent))
        {
            // Nothing ran yet.
            await KeepAsync(() => store.ReturnAsync(record.Id, Owner, record.Runs, now + Look, countRun: false, CancellationToken.None));
            return;
        }
        if (result.Error is { } error && IsPassing(error) && !run.IsTold && record.Runs - record.Returns < jobs.MaxRuns)
        {
            var pause = Pause(jobs, record.Runs - record.Returns, error.RetryAfter);
            if (record.Deadline is null || now + pause < record.Deadline)
            {
                JobsLog.RunAgain(logger, record.Id, record.Runs, error.Definition.Name, pause.TotalSeconds);
                await KeepAsync(() => store.ReturnAsync(record.Id, Owner, record.Runs, now + pause, countRun: true, CancellationToken.None));
                return;
            }
        }
        var end = new GenerationEnd(result.Outcome.ToStatus(), result.Outcome, result.Status, result.Body, result.Details, now, now + TtlOf(record));
        // In one transaction with the end: who sees that it has ended finds all its events.
        var last = await run.Events.TakeAsync();
        var kept = false;
        try
        {
            kept = await KeepAsync(() => store.EndAsync(record.Id, Owner, record.Runs, end, last, CancellationToken.None));
        }
        finally
        {
            if (kept) run.Events.Written(last);
            else run.Events.NotWritten(last);
        }
        if (!kept) JobsLog.TakenOver(logger, run.Id, record.Runs);
    }

    /// <summary>The result exists and is paid for: it waits for the database as long as the process lives.</summary>
    private async Task<bool> KeepAsync(Func<Task<bool>> write)
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

    private async Task RenewAsync(CancellationToken cancellationToken)
    {
        var runs = running.All();
        if (runs.Count == 0) return;
        var now = time.GetUtcNow();
        var due = now - _renewed >= configuration.Current.Jobs.Lease / 3;
        var progress = runs.Select(run => new RunProgress(run.Run.Id, run.Number, run.Run.TakeProgress(counter))).Where(run => due || run.Progress is not null).ToArray();
        if (progress.Length == 0) return;
        var held = await store.RenewAsync(Owner, progress, LeaseEnd, cancellationToken);
        if (due) _renewed = now;
        foreach (var known in progress)
        {
            if (!held.TryGetValue(known.Id, out var cancelled))
            {
                // A run that has just ended is not held any more either; to stop that one does nothing.
                running.Find(known.Id)?.Stop(CancellationReason.LeaseLost);
            }
            else if (cancelled)
            {
                running.Find(known.Id)?.Stop(CancellationReason.Requested);
            }
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

    private static bool IsPassing(GatewayError error) => error.Definition.Retryable && error.Code is not ErrorCode.Conflict;

    private static TimeSpan Pause(JobsConfig jobs, int run, TimeSpan? advised)
    {
        var pause = jobs.Backoff * Math.Pow(2, Math.Clamp(run - 1, 0, 16));
        if (pause > TimeSpan.FromMinutes(10)) pause = TimeSpan.FromMinutes(10);
        return advised is { } wait && wait > pause ? wait : pause;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

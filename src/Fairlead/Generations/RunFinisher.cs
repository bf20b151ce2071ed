using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Waits for the end of runs and stores it: returns the generation to the queue if another run can help, and otherwise ends it. Step 6 of
/// <see cref="JobWorker"/>, also for runs that started with their request. Thread-safe.
/// </summary>
internal sealed class RunFinisher(
    GenerationQueue queue,
    GenerationEnds ends,
    GenerationEndFactory factory,
    NodeLeases leases,
    DisownedGenerations disowned,
    RunningGenerations running,
    HeldReservations held,
    JobLines lines,
    WriteRetry writes,
    JobSignal signal,
    DrainState drain,
    IStorage storage,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<RunFinisher> logger)
{
    private static readonly TimeSpan MaxPause = TimeSpan.FromMinutes(10);

    private double _averageSeconds;

    /// <summary>Moving average of the time that runs take; null before the first.</summary>
    public TimeSpan? AverageRun => _averageSeconds > 0 ? TimeSpan.FromSeconds(_averageSeconds) : null;

    /// <summary>
    /// Waits for the run, stores its end, and disposes it. Never throws: if the end cannot be stored, the generation is disowned.
    /// </summary>
    public async Task FinishAsync(GenerationRun run, GenerationRecord record)
    {
        // The process must also stay until the result is stored.
        drain.Enter();
        var isPostponed = false;
        try
        {
            var result = await run.Completion;
            if (PostponementOf(run, result) is null) AddToAverage(run);

            // 6.
            isPostponed = await StoreEndAsync(run, record, result) == GenerationReturn.Postponed;
        }
        catch (Exception exception)
        {
            JobsLog.ResultNotStored(logger, run.Id, exception);
            // It ran and is charged, so it does not run again.
            disowned.Disown(record, new GatewayError(ErrorCode.InternalError, "The generation ran, but its result could not be stored."));
        }
        finally
        {
            running.Remove(run);
            await run.Events.CloseAsync();
            run.Dispose();
            if (!isPostponed)
            {
                lines.Moved(JobLine.Of(record));
                // Not of a postponed job: it keeps its reservation, which the notice would release.
                storage.Notifier.Announce(JobNotices.Changed, record.Id);
            }
            signal.Wake();
            drain.Leave();
        }
    }

    /// <summary>Returns what became of the generation if this run does not end it; null if it does.</summary>
    private async Task<GenerationReturn?> StoreEndAsync(GenerationRun run, GenerationRecord record, RunResult result)
    {
        var now = time.GetUtcNow();
        var returned = await ReturnAsync(run, record, result, now);
        switch (returned)
        {
            case null:
                await StoreResultAsync(run, record, factory.Of(record, result, now));
                break;
            case GenerationReturn.Lost:
                JobsLog.TakenOver(logger, run.Id, record.Runs);
                break;
            case GenerationReturn.CancelRequested:
                // Its cancellation was requested before it was back in the queue. One end for all attempts, so that a repeated
                // write finds it.
                var (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
                var end = factory.WithoutRun(record, outcome, error);
                await writes.RunAsync(
                    () => ends.EndAsync(record.Id, leases.Owner, record.Runs, end, NewEvents.None, CancellationToken.None));
                break;
        }
        return returned;
    }

    /// <summary>Returns the generation to the queue if this run was not its last; null if it was.</summary>
    private async Task<GenerationReturn?> ReturnAsync(GenerationRun run, GenerationRecord record, RunResult result, DateTimeOffset now)
    {
        if (result.Stopped == CancellationReason.LeaseLost
            || (result.Stopped == CancellationReason.Shutdown && record.Context.Delivery is not { EndsWithClient: true }))
        {
            // Nothing else is written of a run whose lease has ended here. If no other run has the generation, it is queued again.
            var stopped = await ReturnAsync(record, TimeSpan.Zero, countRun: false);
            if (stopped == GenerationReturn.Returned) storage.Notifier.Announce(JobNotices.Queued, record.Id);
            return stopped;
        }
        if (PostponementOf(run, result) is { } postponement) return await PostponeAsync(run, record, result.Error!, postponement);
        if (result.Error is not { } error || !IsTemporary(run, error) || run.IsLast || run.Call.StoppedByBudget) return null;
        // A run that this node could not record, or had no memory, money or slot for, sent nothing, and does not count.
        var isUnsent = IsUnsent(run, error);
        var jobs = configuration.Current.Jobs;
        var countedRuns = record.Runs - record.Returns;
        if (!isUnsent && countedRuns >= jobs.MaxRuns) return null;
        var pause = PauseOf(jobs, countedRuns, error.RetryAfter);
        if (record.Deadline is { } deadline && now + pause >= deadline) return null;
        var returned = await ReturnAsync(record, pause, countRun: !isUnsent);
        if (returned == GenerationReturn.Returned)
        {
            JobsLog.Retrying(logger, record.Id, record.Runs, error.Definition.Name, pause.TotalSeconds);
        }
        return returned;
    }

    private Task<GenerationReturn> ReturnAsync(GenerationRecord record, TimeSpan pause, bool countRun) =>
        writes.RunAsync(() => queue.ReturnAsync(record.Id, leases.Owner, record.Runs, pause, countRun, CancellationToken.None));

    private async Task StoreResultAsync(GenerationRun run, GenerationRecord record, GenerationEnd end)
    {
        // In one transaction with the end: a reader that sees the end finds all events.
        var last = await run.Events.TakeAsync();
        var isStored = false;
        try
        {
            isStored = await writes.RunAsync(
                () => ends.EndAsync(record.Id, leases.Owner, record.Runs, end, last, CancellationToken.None));
        }
        finally
        {
            if (isStored) run.Events.Written(last);
            else run.Events.NotWritten(last);
        }
        if (!isStored) JobsLog.TakenOver(logger, run.Id, record.Runs);
    }

    private void AddToAverage(GenerationRun run)
    {
        var seconds = run.Call.Timings.Elapsed.TotalSeconds;
        _averageSeconds = _averageSeconds <= 0 ? seconds : (_averageSeconds * 0.9) + (seconds * 0.1);
    }

    /// <summary>How the run is postponed; null if it is not. A run with a result has one, whatever became of a repair.</summary>
    private static Postponement? PostponementOf(GenerationRun run, RunResult result) =>
        result is { Error: not null, Stopped: CancellationReason.None } ? run.Postponement : null;

    /// <summary>Returns the generation to the queue. The run does not count, and the reservation waits for the next one.</summary>
    private async Task<GenerationReturn> PostponeAsync(
        GenerationRun run, GenerationRecord record, GatewayError error, Postponement postponement)
    {
        // Both before it is in the queue: another worker may take it at once.
        lines.Postponed(JobLine.Of(record), postponement);
        if (run.Call.HandedOver) held.Return(record.Id, run.Call.Reservation);
        var returned = GenerationReturn.Lost;
        try
        {
            returned = await ReturnAsync(record, postponement.Pause, countRun: false);
        }
        finally
        {
            if (returned != GenerationReturn.Returned) held.Release(record.Id);
        }
        if (returned != GenerationReturn.Returned) return returned;
        JobsLog.Postponed(logger, record.Id, record.Runs, error.Definition.Name, postponement.Pause.TotalSeconds);
        return GenerationReturn.Postponed;
    }

    private static bool IsUnsent(GenerationRun run, GatewayError error) => error.Code switch
    {
        ErrorCode.StoreUnavailable or ErrorCode.Overloaded or ErrorCode.BudgetExceeded =>
            !run.Call.Attempts.Exists(attempt => attempt.Sent),
        // Without an attempt: no deployment had a slot.
        ErrorCode.ProviderUnavailable or ErrorCode.QueueFull => run.Call.Attempts.Count == 0,
        _ => false,
    };

    // A stored stream that found a full queue ends, like other streams. A generation whose client has a 202 waits among the jobs.
    private static bool IsTemporary(GenerationRun run, GatewayError error) =>
        error.IsRetryable && error.Code is not ErrorCode.Conflict
        && !(error.Code == ErrorCode.QueueFull && run.Call.Delivery?.Mode == "stream");

    private static TimeSpan PauseOf(JobsConfig jobs, int run, TimeSpan? advised)
    {
        var pause = jobs.Backoff * Math.Pow(2, Math.Clamp(run - 1, 0, 16));
        if (pause > MaxPause) pause = MaxPause;
        return advised is { } wait && wait > pause ? wait : pause;
    }
}

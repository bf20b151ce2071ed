using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Starts the runs of jobs that this process took from the queue, or ends jobs that cannot run: steps 3 and 4 of <see cref="JobWorker"/>.
/// Thread-safe.
/// </summary>
internal sealed class JobStarter(
    GenerationEnds ends,
    GenerationEndFactory factory,
    NodeLeases leases,
    DisownedGenerations disowned,
    RunFinisher finisher,
    GenerationRunner runner,
    JobCalls calls,
    HeldReservations held,
    WriteRetry writes,
    IStorage storage,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<JobStarter> logger)
{
    /// <summary>Starts the run of <paramref name="record"/>, or ends it.</summary>
    /// <param name="record">The job, with its request.</param>
    /// <param name="isAlone">No other job runs; it is not refused for its size.</param>
    /// <param name="askedAt">When its lease was requested.</param>
    /// <param name="lease">Length of its lease.</param>
    /// <exception cref="MemoryExhaustedException">There is no memory for the request. Nothing was started.</exception>
    public void Start(GenerationRecord record, bool isAlone, long askedAt, TimeSpan lease)
    {
        // 3.
        var end = disowned.EndOf(record.Id);
        var run = end is null ? RunOf(record, isAlone, out end) : null;
        if (run is null)
        {
            _ = EndAsync(record, end!);
            return;
        }

        // 4.
        run.Call.Reservation = held.Take(record.Id);
        run.Call.RunLease = new RunLease(record.Id, leases.Owner, record.Runs);
        var waited = time.GetUtcNow() - (record.StartedAt ?? time.GetUtcNow());
        run.Call.QueuedRun = new QueuedRun(configuration.Current.Jobs.Workers, waited > TimeSpan.Zero ? waited : TimeSpan.Zero);
        run.Start(runner.RunAsync);
        leases.AdoptFromQueue(run, record, askedAt, lease);
        storage.Notifier.Announce(JobNotices.Changed, record.Id);
        _ = finisher.FinishAsync(run, record with { Request = [] });
    }

    /// <summary>A run of the generation, or null and the end that it gets instead.</summary>
    private GenerationRun? RunOf(GenerationRecord record, bool isAlone, out GenerationEnd? end)
    {
        end = null;
        var maxRuns = configuration.Current.Jobs.MaxRuns;
        GatewayError? error;
        if (record.Suspicion < 0)
        {
            error = Failure(
                "The server process died during a run of this generation, and again while it ran nothing else. It is not run again.");
        }
        else if (record.CancelRequested)
        {
            (var outcome, error) = CallOutcome.Of(CancellationReason.Requested);
            end = factory.WithoutRun(record, outcome, error);
            return null;
        }
        else if (record.Runs - record.Returns > maxRuns)
        {
            error = Failure($"The generation was started {maxRuns} times, and none of its runs finished.");
        }
        else
        {
            try
            {
                (var run, error) = calls.RunOf(record, isAlone);
                if (run is not null) return run;
            }
            catch (Exception exception) when (exception is not MemoryExhaustedException)
            {
                // Returned to the queue, it would fail again and delay the jobs that were taken with it.
                JobsLog.ResultNotStored(logger, record.Id, exception);
                error = Failure("The stored request of this generation could not be read.");
            }
        }
        end = factory.WithoutRun(record, Outcome.Failed, error!);
        return null;
    }

    private static GatewayError Failure(string message) => new(ErrorCode.InternalError, message);

    private async Task EndAsync(GenerationRecord record, GenerationEnd end)
    {
        try
        {
            await writes.RunAsync(
                () => ends.EndAsync(record.Id, leases.Owner, record.Runs, end, NewEvents.None, CancellationToken.None));
        }
        catch (Exception exception)
        {
            JobsLog.ResultNotStored(logger, record.Id, exception);
        }
        finally
        {
            storage.Notifier.Announce(JobNotices.Changed, record.Id);
        }
    }
}

using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations.Events;

/// <summary>
/// Writes the events of all runs of this node to the database, many runs in one transaction, and notifies other nodes. Runs that have a
/// reader are written every few milliseconds, others twice a second.
/// </summary>
internal sealed class EventKeeper(
    IStorage storage,
    GenerationEventStore store,
    RunningGenerations running,
    NodeLeases leases,
    TimeProvider time,
    ILogger<EventKeeper> logger) : BackgroundService
{
    /// <summary>Pause between two writes. The events of this time share one commit.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(500);

    private static readonly TimeSpan StorePause = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                var made = running.Made.Next;
                var pause = await WriteAsync() ? Pause : StorePause;
                await Task.Delay(pause, time, stoppingToken);
                // Runs without a reader become due without a signal.
                if (running.Count == 0) await made.WaitAsync(stoppingToken);
                else await made.WaitAsync(Look, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                stoppingToken.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Runs that have not ended write their last events with their end.
        }
    }

    /// <summary>False if the database is unavailable.</summary>
    private async Task<bool> WriteAsync()
    {
        var taken = new List<(GenerationRun Run, RunEvents Events)>();
        foreach (var held in running.All())
        {
            if (held.IsLost || !held.Run.Events.IsDue()) continue;
            if (held.Run.Events.TryTake() is { } events) taken.Add((held.Run, new RunEvents(held.Run.Id, held.Number, events)));
        }
        var writing = taken.FindAll(static one => one.Events.Made.Events.Count > 0);
        foreach (var (run, events) in taken)
        {
            if (events.Made.Events.Count == 0) run.Events.NotWritten(events.Made);
        }
        if (writing.Count == 0) return true;

        IReadOnlySet<string> stillHeld;
        try
        {
            stillHeld = await store.AppendAsync(leases.Owner, writing.ConvertAll(static one => one.Events), CancellationToken.None);
        }
        catch (Exception exception)
        {
            foreach (var (run, events) in writing) run.Events.NotWritten(events.Made);
            JobsLog.StoreUnavailable(
                logger, StorageErrors.IsStoreError(exception) ? StorageErrors.Describe(exception) : exception.ToString());
            return false;
        }
        foreach (var (run, events) in writing)
        {
            if (stillHeld.Contains(run.Id))
            {
                run.Events.Written(events.Made);
                storage.Notifier.Announce(JobNotices.Events, run.Id);
            }
            else
            {
                run.Events.NotWritten(events.Made);
                run.Stop(CancellationReason.LeaseLost);
            }
        }
        return true;
    }
}

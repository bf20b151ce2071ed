using Fairlead.Access;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Scheduling;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Drives the jobs of this node. Several nodes may do so on one database. The steps of a job:
/// 1. take it from the queue, with a lease (<see cref="JobTaker"/>);
/// 2. read its request;
/// 3. make its run, or end it (<see cref="JobStarter"/>);
/// 4. start the run (<see cref="GenerationRunner"/>);
/// 5. renew the lease while it runs, and stop it before the lease ends (<see cref="NodeLeases"/>);
/// 6. return it to the queue or store its result (<see cref="RunFinisher"/>).
/// <see cref="DisownedGenerations"/> ends what a lost response of the database left behind.
/// </summary>
/// <remarks>Each loop has its own task, because a database that does not respond blocks its caller.</remarks>
internal sealed class JobWorker(
    JobTaker taker,
    NodeLeases leases,
    RunLeases runLeases,
    GenerationQueue queue,
    DisownedGenerations disowned,
    RunningGenerations running,
    HeldReservations held,
    JobHolds holds,
    JobLines lines,
    JobSignal signal,
    CallerSnapshots snapshots,
    Scheduler scheduler,
    DrainState drain,
    IStorage storage,
    TimeProvider time,
    ILogger<JobWorker> logger) : BackgroundService
{
    private static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan MaxStopPause = TimeSpan.FromMilliseconds(500);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var queued = storage.Notifier.Subscribe(JobNotices.Queued, _ => signal.Wake());
        using var cancels = storage.Notifier.Subscribe(JobNotices.Cancel, id =>
        {
            if (id is not null) running.Find(id)?.Stop(CancellationReason.Requested);
        });
        // Only PostgreSQL has other nodes, which could take over a run whose lease ends.
        var stopping = storage.Provider == StorageProvider.Sqlite ? Task.CompletedTask : StopExpiringAsync(stoppingToken);
        scheduler.RunLeft += Moved;
        try
        {
            await Task.WhenAll(TakeAsync(stoppingToken), RenewAsync(stoppingToken), stopping);
        }
        finally
        {
            scheduler.RunLeft -= Moved;
        }
    }

    /// <summary>Steps 1 to 4.</summary>
    private async Task TakeAsync(CancellationToken stoppingToken)
    {
        // This process has the lock on the data folder, so the runs in its SQLite database belong to processes that are gone.
        var released = storage.Provider != StorageProvider.Sqlite;
        await using var presence = new NodePresence(storage, time);
        while (!stoppingToken.IsCancellationRequested)
        {
            TimeSpan? due = null;
            try
            {
                if (!released)
                {
                    await runLeases.ReleaseAllAsync(stoppingToken);
                    released = true;
                }
                await presence.HoldAsync(leases.Owner, stoppingToken);
                if (!drain.IsDraining && snapshots.Current is not null)
                {
                    await taker.TakeOverAsync(stoppingToken);
                    due = await taker.FillAsync(stoppingToken);
                }
                // Both in this loop, so that no job of this node starts meanwhile.
                await holds.FinishUnknownAsync(stoppingToken);
                await held.CheckAsync(queue, stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                // Nothing is lost: leases and rows stay, and the next attempt comes within a second.
                Failed(exception);
            }
            await signal.WaitAsync(due < MaxPause ? due.Value : MaxPause, stoppingToken);
        }
    }

    /// <summary>A run left its place in the queue of a deployment: another job of its line may wait there.</summary>
    private void Moved(GatewayCall call)
    {
        lines.Moved(new JobLine(call.Caller.KeyId, call.Facts.Model, call.Class));
        signal.Wake();
    }

    /// <summary>Step 5.</summary>
    private async Task RenewAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            var lease = leases.Length;
            try
            {
                await leases.RenewAsync(lease, stoppingToken);
                await disowned.EndQueuedAsync(stoppingToken);
                await disowned.EndOrphansAsync(lease, stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                Failed(exception);
            }
            await PauseAsync(lease / 4, MaxPause, stoppingToken);
        }
    }

    /// <summary>Step 5, without the database.</summary>
    private async Task StopExpiringAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            leases.StopExpiring();
            await PauseAsync(leases.Length / 20, MaxStopPause, stoppingToken);
        }
    }

    private async Task PauseAsync(TimeSpan pause, TimeSpan max, CancellationToken stoppingToken) =>
        await Task.Delay(pause < max ? pause : max, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private void Failed(Exception exception)
    {
        leases.Watch.Failed();
        JobsLog.StoreUnavailable(
            logger,
            StorageErrors.IsStoreError(exception) ? StorageErrors.Describe(exception)
                : exception is OperationCanceledException ? "it did not respond in time"
                : exception.ToString());
    }
}

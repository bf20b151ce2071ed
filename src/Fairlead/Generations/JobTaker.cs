using Fairlead.Configuration;
using Fairlead.Memory;
using Fairlead.Providers;
using Fairlead.Scheduling;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Takes jobs from the queue while this node and their models have room for them, and reads their requests: steps 1 and 2 of
/// <see cref="JobWorker"/>. For one caller.
/// </summary>
internal sealed class JobTaker(
    GenerationQueue queue,
    RunLeases runLeases,
    NodeLeases leases,
    JobStarter starter,
    RunningGenerations running,
    JobCalls calls,
    JobHolds holds,
    WriteRetry writes,
    JobSignal signal,
    MemoryBudget memory,
    Scheduler scheduler,
    IStorage storage,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<JobTaker> logger)
{
    /// <summary>Copies of a request in memory: as it came, as it is sent to the provider, and as its texts.</summary>
    private const int Copies = 3;

    /// <summary>How long a job waits that had no room here.</summary>
    private static readonly TimeSpan NoRoomPause = TimeSpan.FromSeconds(1);

    /// <summary>Part of the workers that may wait for slots of one model, so that the jobs of other models run.</summary>
    private const int WorkersPerWaitingRun = 4;

    // Only PostgreSQL has other nodes, whose runs could be taken over.
    private bool HasOtherNodes => storage.Provider != StorageProvider.Sqlite;

    /// <summary>Returns the runs of processes that are gone to the queue, and ends jobs that killed their process.</summary>
    public async Task TakeOverAsync(CancellationToken cancellationToken)
    {
        var lease = leases.Length;
        // After an outage, living processes renew their leases first.
        if (HasOtherNodes && !leases.Watch.HasRespondedFor(lease)) return;
        var askedAt = time.GetTimestamp();
        var causes = await runLeases.TakeOverAsync(leases.Owner, lease, cancellationToken);
        if (HasOtherNodes && time.GetElapsedTime(askedAt) > StoreWatch.GapOf(lease)) leases.Watch.Failed();
        foreach (var cause in causes) starter.Start(cause, isAlone: false, askedAt, lease);
    }

    /// <summary>Takes as many jobs as this node has room for, and starts them.</summary>
    public async Task FillAsync(CancellationToken cancellationToken)
    {
        var lease = leases.Length;
        // Runs that started with their request needed no room. However many there are, jobs run beside them.
        var room = configuration.Current.Jobs.Workers - running.Leased;
        if (room <= 0 || (memory.IsExhausted && running.Leased > 0) || running.All().Any(run => run.NeedsNodeAlone(time))) return;

        // 1.
        var askedAt = time.GetTimestamp();
        var full = scheduler.ModelsWithoutRoom(Math.Max(1, configuration.Current.Jobs.Workers / WorkersPerWaitingRun));
        var leased = await queue.LeaseAsync(leases.Owner, lease, room, running.Leased == 0, full, cancellationToken);
        leases.Watch.Responded(lease);
        foreach (var record in leased.Taken) await ReadAndStartAsync(record, askedAt, lease, cancellationToken);
        if (leased.Taken.Count == room) signal.Wake();
    }

    private async Task ReadAndStartAsync(GenerationRecord head, long askedAt, TimeSpan lease, CancellationToken cancellationToken)
    {
        // 2. Not with its turn in the queue, and only if there is room for it. A request that is larger than the whole budget runs alone.
        var isAlone = running.Leased == 0;
        if (!isAlone && !memory.HasRoomFor(Copies * head.RequestBytes))
        {
            await PutBackAsync(head);
            return;
        }
        byte[]? request = null;
        try
        {
            await calls.LoadCallerAsync(head.KeyId, head.ProjectId, cancellationToken);
            await holds.RestoreAsync(head, cancellationToken);
            if (!head.CancelRequested) request = await queue.RequestAsync(head.Id, cancellationToken);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            JobsLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
            await PutBackAsync(head);
            return;
        }
        try
        {
            starter.Start(head with { Request = request ?? [] }, isAlone, askedAt, lease);
        }
        catch (MemoryExhaustedException)
        {
            await PutBackAsync(head);
        }
    }

    /// <summary>There was no room for it: it is queued again, and the run does not count.</summary>
    private Task<GenerationReturn> PutBackAsync(GenerationRecord record) => writes.RunAsync(
        () => queue.ReturnAsync(record.Id, leases.Owner, record.Runs, NoRoomPause, countRun: false, CancellationToken.None));
}

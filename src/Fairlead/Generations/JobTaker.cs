using Fairlead.Configuration;
using Fairlead.Memory;
using Fairlead.Providers;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Takes jobs from the queue while this node has room for them, and reads their requests: steps 1 and 2 of <see cref="JobWorker"/>. Of a
/// line of jobs that were postponed, one is taken at a time. For one caller.
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
    JobLines lines,
    IStorage storage,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<JobTaker> logger)
{
    /// <summary>Copies of a request in memory: as it came, as it is sent to the provider, and as its texts.</summary>
    private const int Copies = 3;

    /// <summary>How long a job waits that had no room here.</summary>
    private static readonly TimeSpan NoRoomPause = TimeSpan.FromSeconds(1);

    private bool _linesAreFirst;

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
    /// <returns>When a line of jobs that were postponed is due; null if nothing can be started then.</returns>
    public async Task<TimeSpan?> FillAsync(CancellationToken cancellationToken)
    {
        // Runs that started with their request needed no room. However many there are, jobs run beside them.
        var room = configuration.Current.Jobs.Workers - running.Leased;
        if (room <= 0 || !MayStart()) return null;

        // 1. Of the lines, half of the room every second time, then the jobs of others, then the rest of the lines: neither keeps the
        // other from starting.
        _linesAreFirst = !_linesAreFirst;
        if (_linesAreFirst) room -= await TakeDueAsync(Math.Max(1, room / 2), cancellationToken);
        if (room > 0) room -= await TakeAsync(room, JobLineFilter.Except(lines.Held()), cancellationToken);
        if (room > 0) room -= await TakeDueAsync(room, cancellationToken);
        if (room > 0 && MayStart()) return lines.UntilDue();
        // Those that were taken may have ended already.
        if (running.Leased < configuration.Current.Jobs.Workers) signal.Wake();
        return null;
    }

    /// <summary>Tries one job of each line that is due.</summary>
    private async Task<int> TakeDueAsync(int max, CancellationToken cancellationToken)
    {
        var taken = 0;
        foreach (var line in lines.TakeDue(max)) taken += await TakeAsync(1, JobLineFilter.Only(line), cancellationToken);
        return taken;
    }

    private bool MayStart() =>
        !(memory.IsExhausted && running.Leased > 0) && !running.All().Any(run => run.NeedsNodeAlone(time));

    private async Task<int> TakeAsync(int max, JobLineFilter filter, CancellationToken cancellationToken)
    {
        // Checked again each time: one that was just taken may need the node alone.
        if (!MayStart()) return 0;
        var lease = leases.Length;
        var askedAt = time.GetTimestamp();
        var leased = await queue.LeaseAsync(leases.Owner, lease, max, running.Leased == 0, filter, cancellationToken);
        leases.Watch.Responded(lease);
        foreach (var record in leased.Taken) await ReadAndStartAsync(record, askedAt, lease, cancellationToken);
        return leased.Taken.Count;
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

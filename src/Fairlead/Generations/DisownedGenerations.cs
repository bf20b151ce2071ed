using System.Collections.Concurrent;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// Generations and runs that are in the database although this process does not have them, because the response to a statement was lost.
/// Disowned generations were reported to their client as refused or failed: they are ended and not run. Orphans are runs that this process
/// has according to the database: they are returned to the queue. <see cref="Disown"/> and <see cref="EndOf"/> are thread-safe.
/// </summary>
internal sealed class DisownedGenerations(
    IGenerationStore generations,
    GenerationQueue queue,
    RunLeases runLeases,
    GenerationEnds ends,
    GenerationEndFactory factory,
    NodeLeases leases,
    RunningGenerations running,
    JobSignal signal,
    IStorage storage,
    TimeProvider time)
{
    /// <summary>Longer than a statement whose response was lost can take.</summary>
    private static readonly TimeSpan DisownedFor = TimeSpan.FromMinutes(2);

    private readonly ConcurrentDictionary<string, Disowned> _disowned = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _missing = new(StringComparer.Ordinal);
    private long? _checkedAt;

    /// <summary>
    /// The run of <paramref name="record"/> ends, or never starts, without the database. If the database has it nevertheless, it is ended
    /// and does not run.
    /// </summary>
    public void Disown(GenerationRecord record, GatewayError error)
    {
        var end = factory.WithoutRun(record, Outcome.Failed, error);
        _disowned[record.Id] = new Disowned(record.ProjectId, end, time.GetTimestamp(), record.Status == GenerationStatus.Queued);
    }

    /// <summary>The end that a disowned generation gets; null if this one is not disowned.</summary>
    public GenerationEnd? EndOf(string id) => _disowned.TryGetValue(id, out var disowned) ? disowned.End : null;

    /// <summary>Ends disowned generations that are in the queue. If a node has started one since, its run is asked to stop.</summary>
    public async Task EndQueuedAsync(CancellationToken cancellationToken)
    {
        foreach (var (id, disowned) in _disowned)
        {
            if (!disowned.IsQueued) continue;
            var found = await generations.CancelAsync(disowned.ProjectId, id, disowned.End, cancellationToken);
            if (found == GenerationStatus.Queued) storage.Notifier.Announce(JobNotices.Changed, id);
            if (found == GenerationStatus.InProgress) storage.Notifier.Announce(JobNotices.Cancel, id);
            // Its insert may still be under way for a while.
            if (found is not null || IsOld(disowned)) _disowned.TryRemove(id, out _);
        }
    }

    /// <summary>
    /// Ends disowned runs and returns orphans to the queue. A run counts as an orphan if it is missing here twice in a row, because one may
    /// be about to start or to end. Looks at the database three times per lease. For one caller at a time.
    /// </summary>
    public async Task EndOrphansAsync(TimeSpan lease, CancellationToken cancellationToken)
    {
        if (_checkedAt is { } before && time.GetElapsedTime(before) < lease / 3) return;
        _checkedAt = time.GetTimestamp();
        var held = await runLeases.HeldByAsync(leases.Owner, cancellationToken);
        leases.Watch.Responded(lease);
        var missing = held.Where(run => !running.Has(run.Id, run.Run)).ToArray();
        var orphans = missing
            .Where(run => _disowned.ContainsKey(run.Id) || (_missing.TryGetValue(run.Id, out var number) && number == run.Run))
            .ToArray();
        _missing.Clear();
        foreach (var (id, run) in missing) _missing[id] = run;
        // The database has no run of the others, or one that is ended below.
        foreach (var (id, disowned) in _disowned)
        {
            if (!disowned.IsQueued && !_missing.ContainsKey(id) && IsOld(disowned)) _disowned.TryRemove(id, out _);
        }
        foreach (var (id, run) in orphans)
        {
            if (EndOf(id) is { } end)
            {
                await ends.EndAsync(id, leases.Owner, run, end, NewEvents.None, cancellationToken);
                storage.Notifier.Announce(JobNotices.Changed, id);
                continue;
            }
            var returned = await queue.ReturnAsync(id, leases.Owner, run, TimeSpan.Zero, countRun: false, cancellationToken);
            if (returned == GenerationReturn.Returned) signal.Wake();
        }
    }

    private bool IsOld(Disowned disowned) => time.GetElapsedTime(disowned.Since) > DisownedFor;

    /// <summary>A generation that was reported to its client as nonexistent.</summary>
    /// <param name="ProjectId">Its project.</param>
    /// <param name="End">The end that it gets if the database has it.</param>
    /// <param name="Since">When it was disowned.</param>
    /// <param name="IsQueued">Whether it is in the queue, where any node may start it; otherwise it runs here.</param>
    private sealed record Disowned(string ProjectId, GenerationEnd End, long Since, bool IsQueued);
}

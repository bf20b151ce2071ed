using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// The leases of this process: its name as their owner, their renewal, and the stop of runs whose lease is about to end. Step 5 of
/// <see cref="JobWorker"/>. Thread-safe.
/// </summary>
internal sealed class NodeLeases(
    RunLeases leases,
    RunningGenerations running,
    IConfigurationSource configuration,
    TokenCounter counter,
    TimeProvider time,
    ILogger<NodeLeases> logger)
{
    /// <summary>A lease is renewed when this part of it has passed.</summary>
    private const double RenewAfter = 0.25;

    /// <summary>
    /// A run that could not renew its lease stops when this part of it has passed. The rest is for closing the upstream connection and for
    /// clocks that run at different speeds.
    /// </summary>
    private const double StopAfter = 5.0 / 6;

    /// <summary>Name of this process as the owner of leases. Every start has a different one.</summary>
    public string Owner { get; } = Ids.New("node_", time);

    /// <summary>Length of a lease that starts now.</summary>
    public TimeSpan Length => configuration.Current.Jobs.Lease;

    /// <summary>Whether the database responds to this process.</summary>
    public StoreWatch Watch { get; } = new(time);

    /// <summary>
    /// Renews from now on the lease of a run that started with its request. Its lease was requested at <paramref name="askedAt"/>.
    /// </summary>
    public void Adopt(GenerationRun run, GenerationRecord record, long askedAt, TimeSpan lease)
    {
        run.Call.RunLease = new RunLease(record.Id, Owner, record.Runs);
        running.Add(new HeldRun(run, record.Runs, isLeased: false, suspicion: 0, askedAt, lease));
    }

    /// <summary>The same for a run that was taken from the queue.</summary>
    public void AdoptFromQueue(GenerationRun run, GenerationRecord record, long askedAt, TimeSpan lease) =>
        running.Add(new HeldRun(run, record.Runs, isLeased: true, record.Suspicion, askedAt, lease));

    /// <summary>
    /// Renews the leases that are due and stores the progress of their runs. Stops runs that have lost their generation, and those
    /// whose cancellation was requested.
    /// </summary>
    /// <exception cref="OperationCanceledException">The database did not respond within half a lease, or the token fired.</exception>
    public async Task RenewAsync(TimeSpan lease, CancellationToken cancellationToken)
    {
        var renewing = new List<(HeldRun Held, RunProgress Progress)>();
        foreach (var held in running.All())
        {
            if (held.IsLost) continue;
            var progress = held.Run.TakeProgress(counter);
            // By elapsed time: the time of day may be changed.
            if (progress is null && held.PassedBy(time) < RenewAfter) continue;
            renewing.Add((held, new RunProgress(held.Run.Id, held.Number, progress)));
        }
        if (renewing.Count == 0) return;
        var askedAt = time.GetTimestamp();
        using var limit = new CancellationTokenSource(lease / 2, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        var renewed = await leases.RenewAsync(Owner, renewing.ConvertAll(one => one.Progress), lease, both.Token);
        Watch.Responded(lease);
        foreach (var (held, _) in renewing)
        {
            if (!renewed.TryGetValue(held.Run.Id, out var cancelRequested))
            {
                // A run that has just ended has no lease either; stopping it does nothing.
                held.IsLost = true;
                held.Run.Stop(CancellationReason.LeaseLost);
                continue;
            }
            held.Renewed(askedAt, lease);
            if (cancelRequested) held.Run.Stop(CancellationReason.Requested);
        }
    }

    /// <summary>Stops runs whose lease is about to end. Uses no database.</summary>
    public void StopExpiring()
    {
        foreach (var held in running.All())
        {
            if (held.IsLost || held.PassedBy(time) < StopAfter) continue;
            held.IsLost = true;
            JobsLog.LeaseNotRenewed(logger, held.Run.Id, held.Number);
            held.Run.Stop(CancellationReason.LeaseLost);
        }
    }
}

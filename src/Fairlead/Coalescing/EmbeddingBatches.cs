using Fairlead.Configuration;

namespace Fairlead.Coalescing;

/// <summary>
/// Collects the inputs of several calls into requests: 1. the first call of a group is sent at once, 2. while a request of the group is in
/// progress, further calls wait for others, 3. until the delay has passed, the request is full, or no other is in progress. So a call waits
/// only where there is something to gain. Thread-safe.
/// </summary>
internal sealed class EmbeddingBatches(IConfigurationSource configuration, EmbeddingFlights flights, EmbeddingRequests requests,
    TimeProvider time)
{
    /// <summary>Bytes of the inputs of several calls in one request: below OpenAI's limit of 300,000 tokens, whatever they contain.</summary>
    internal const int MaxBatchBytes = 256 * 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<EmbeddingGroupKey, EmbeddingGroup> _groups = [];

    /// <summary>Sends a share, now or together with others. Its result is <see cref="EmbeddingShare.Reply"/>.</summary>
    public void Send(EmbeddingShare share)
    {
        var config = configuration.Current.Coalescing;
        var maxInputs = Math.Min(config.BatchInputs, share.Attempt.Deployment.Provider.MaxEmbeddingInputs ?? int.MaxValue);
        var starting = new List<EmbeddingRun>(2);
        lock (_gate)
        {
            var key = new EmbeddingGroupKey(share.Attempt.Deployment, share.Work.Context, share.ProviderKey);
            if (!_groups.TryGetValue(key, out var group)) _groups.Add(key, group = new EmbeddingGroup(key));
            var waits = !share.IsAlone && config.BatchDelay > TimeSpan.Zero && group.Running > 0;

            // 1. One that is too large to be joined by others does not wait either.
            if (!waits || share.Flights.Count >= maxInputs || share.Bytes >= MaxBatchBytes)
            {
                starting.Add(StartAlone(group, share));
            }
            else
            {
                // 2.
                if (group.Waiting is { } full && (full.Inputs + share.Flights.Count > maxInputs || full.Bytes + share.Bytes > MaxBatchBytes))
                    starting.Add(Take(group)!);
                if (group.Waiting is { } waiting)
                {
                    waiting.Add(share);
                }
                else
                {
                    var run = group.Waiting = new EmbeddingRun(group);
                    run.Add(share);
                    // Last: a clock that is moved at this moment runs the timer before it is returned.
                    run.Timer = time.CreateTimer(_ => StartWaiting(run), null, config.BatchDelay, Timeout.InfiniteTimeSpan);
                }
                // 3.
                if (group.Waiting is { } joined && joined.Inputs >= maxInputs) starting.Add(Take(group)!);
            }
        }
        foreach (var run in starting) Start(run);
    }

    private static EmbeddingRun StartAlone(EmbeddingGroup group, EmbeddingShare share)
    {
        var run = new EmbeddingRun(group);
        run.Add(share);
        group.Running++;
        return run;
    }

    private static EmbeddingRun? Take(EmbeddingGroup group)
    {
        if (group.Waiting is not { } run) return null;
        run.Timer?.Dispose();
        group.Waiting = null;
        group.Running++;
        return run;
    }

    private void StartWaiting(EmbeddingRun run)
    {
        lock (_gate)
        {
            if (!ReferenceEquals(run.Group.Waiting, run)) return;
            Take(run.Group);
        }
        Start(run);
    }

    private void Start(EmbeddingRun run)
    {
        foreach (var dropped in flights.Start(run)) dropped.Dispose();
        _ = RunAsync(run);
    }

    private async Task RunAsync(EmbeddingRun run)
    {
        IReadOnlyList<EmbeddingShare> again = [];
        try
        {
            if (run.Shares.Count > 0) again = await requests.SendAsync(run);
        }
        finally
        {
            Ended(run.Group, again);
            run.Dispose();
        }
    }

    // A request of several calls that was refused is sent again for each of them, so that none fails for the inputs of another.
    private void Ended(EmbeddingGroup group, IReadOnlyList<EmbeddingShare> again)
    {
        var starting = new List<EmbeddingRun>(again.Count + 1);
        lock (_gate)
        {
            group.Running--;
            foreach (var share in again) starting.Add(StartAlone(group, share));
            if (group.Running == 0 && Take(group) is { } waiting) starting.Add(waiting);
            if (group.Running == 0) _groups.Remove(group.Key);
        }
        foreach (var run in starting) Start(run);
    }
}

using Fairlead.Configuration;

namespace Fairlead.Coalescing;

/// <summary>
/// Collects the inputs of several calls into requests: 1. the first call of a group is sent at once, 2. while a request of the group is in
/// progress, further calls wait for others, 3. until the delay has passed, the request is full, or no other is in progress. So a call waits
/// only where there is something to gain. 4. Calls whose request failed wait for each other in any case: one retry was allowed for all of
/// them. Thread-safe.
/// </summary>
internal sealed class EmbeddingBatches(IConfigurationSource configuration, EmbeddingFlights flights, EmbeddingRequests requests,
    TimeProvider time)
{
    /// <summary>Bytes of the inputs of several calls in one request: below OpenAI's limit of 300,000 tokens, whatever they contain.</summary>
    internal const int MaxBatchBytes = 256 * 1024;

    /// <summary>
    /// How long a request that is repeated waits for all its calls. They come back at the same time, but take a slot and write a record first.
    /// </summary>
    internal static readonly TimeSpan RepeatDelay = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();
    private readonly Dictionary<EmbeddingGroupKey, EmbeddingGroup> _groups = [];

    /// <summary>Calls that wait for others.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate) return _groups.Values.Sum(static group => (group.Waiting?.Shares.Count ?? 0) + (group.Repeated?.Shares.Count ?? 0));
        }
    }

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
            var waits = !share.IsAlone && config.BatchDelay > TimeSpan.Zero && (group.Running > 0 || share.IsRepeated);

            // 1. One that is too large to be joined by others does not wait either.
            if (!waits || share.Flights.Count >= maxInputs || share.Bytes >= MaxBatchBytes)
            {
                starting.Add(StartAlone(group, share));
            }
            else
            {
                // 2. and 4.
                var open = share.IsRepeated ? group.Repeated : group.Waiting;
                if (open is not null && (open.Inputs + share.Flights.Count > maxInputs || open.Bytes + share.Bytes > MaxBatchBytes))
                {
                    starting.Add(Take(group, open));
                    open = null;
                }
                if (open is not null)
                {
                    open.Add(share);
                }
                else
                {
                    open = new EmbeddingRun(group);
                    if (share.IsRepeated) group.Repeated = open;
                    else group.Waiting = open;
                    open.Add(share);
                    var run = open;
                    // Last: a clock that is moved at this moment runs the timer before it is returned.
                    run.Timer = time.CreateTimer(_ => StartWaiting(run), null, share.IsRepeated ? RepeatDelay : config.BatchDelay, Timeout.InfiniteTimeSpan);
                }
                // 3.
                if (IsCollecting(open) && open.Inputs >= maxInputs) starting.Add(Take(group, open));
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

    private static bool IsCollecting(EmbeddingRun run) =>
        ReferenceEquals(run.Group.Waiting, run) || ReferenceEquals(run.Group.Repeated, run);

    private static EmbeddingRun Take(EmbeddingGroup group, EmbeddingRun run)
    {
        run.Timer?.Dispose();
        if (ReferenceEquals(group.Waiting, run)) group.Waiting = null;
        else group.Repeated = null;
        group.Running++;
        return run;
    }

    private void StartWaiting(EmbeddingRun run)
    {
        lock (_gate)
        {
            if (!IsCollecting(run)) return;
            Take(run.Group, run);
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
            if (group.Running == 0 && group.Waiting is { } waiting) starting.Add(Take(group, waiting));
            if (group.Running == 0 && group.Repeated is null) _groups.Remove(group.Key);
        }
        foreach (var run in starting) Start(run);
    }
}

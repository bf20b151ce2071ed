using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// Leases slices of budgets for this process: 1. calls that ended before the first lease must be in the ledger; 2. grant what is available;
/// 3. if that is less than the minimum, wait for what could still be returned, and try again. What an unavailable database kept from being
/// returned stays with this process. Thread-safe.
/// </summary>
internal sealed class BudgetLeases(
    IStorage storage,
    BudgetHolder holder,
    BudgetGrants grants,
    BudgetReturns returns,
    BudgetAsks asks,
    LeasedBudgets budgets,
    Spool spool,
    LedgerShipper shipper,
    BudgetLeaseOptions options,
    BudgetLeaseMetrics metrics,
    TimeProvider time) : IBudgetLeases, IDisposable
{
    /// <summary>A request that waits looks at the database again after this time, also without a notice.</summary>
    private static readonly TimeSpan RepeatAfter = TimeSpan.FromMilliseconds(250);

    /// <summary>Transactions at once: requests of many budgets must not take all connections.</summary>
    private const int MaxParallel = 4;

    private readonly BudgetTurns _turns = new();
    private readonly SemaphoreSlim _connections = new(MaxParallel, MaxParallel);

    public async Task<BudgetGrant[]> AcquireAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken)
    {
        if (needs.Count == 0) return [];
        if (needs.DistinctBy(need => need.Key).Count() < needs.Count) throw new ArgumentException("A budget is needed twice.", nameof(needs));
        // 1.
        await EnsureShippedAsync(needs, cancellationToken);
        var request = new Request(needs);
        try
        {
            using var ask = asks.Open(needs.Select(need => need.Key));
            await RunAsync(request, ask, cancellationToken);
        }
        catch
        {
            // The caller does not learn of grants that were made before.
            foreach (var (key, amount) in request.Granted()) returns.Add(key, amount);
            throw;
        }
        metrics.Acquired(request.Open.Count == 0);
        return request.Grants;
    }

    public void Return(IReadOnlyList<(BudgetKey Key, long Amount)> unused)
    {
        foreach (var (key, amount) in unused) returns.Add(key, amount);
    }

    public void Dispose() => _connections.Dispose();

    public void AddUnpaid(BudgetKey key, long amount) => budgets.Enter(key).AddUnpaid(amount);

    private async Task EnsureShippedAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken)
    {
        var first = needs.Select(need => budgets.Enter(need.Key)).Where(budget => !budget.IsShipped).ToArray();
        if (first.Length == 0) return;
        if (spool.HasEndedCalls && !await shipper.CatchUpAsync(options.ReplayTimeout, cancellationToken)) throw new LedgerBehindException();
        foreach (var budget in first) budget.IsShipped = true;
    }

    private async Task RunAsync(Request request, BudgetAsk ask, CancellationToken cancellationToken)
    {
        var since = time.GetTimestamp();
        while (true)
        {
            // Before the grant: what comes after its snapshot must wake the wait.
            var changed = ask.Changed;
            var replaying = shipper.Replayed.IsCompleted ? null : shipper.Replayed;
            // 2.
            BudgetGrantResult[] results;
            using (await _turns.EnterAsync(request.OpenKeys(), cancellationToken))
            {
                await _connections.WaitAsync(cancellationToken);
                try
                {
                    results = await grants.GrantAsync(request.OpenNeeds(), cancellationToken);
                }
                finally
                {
                    _connections.Release();
                }
            }
            request.Add(results);
            if (request.Open.Count == 0) return;

            // 3.
            if (!request.CanBeHelped(replaying is not null)) return;
            var left = (replaying is null ? options.AskTimeout : options.ReplayTimeout) - time.GetElapsedTime(since);
            if (left <= TimeSpan.Zero) return;
            if (request.NeedsOthers(replaying is not null))
            {
                var state = await AskAsync(request, ask, cancellationToken);
                if (state == AskState.Responded) return;
                if (state == AskState.NobodyHolds) continue;
            }
            using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var pause = left < RepeatAfter ? left : RepeatAfter;
            await Task.WhenAny(changed, replaying ?? changed, Task.Delay(pause, time, timer.Token));
            await timer.CancelAsync();
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    private async Task<AskState> AskAsync(Request request, BudgetAsk ask, CancellationToken cancellationToken)
    {
        var keys = request.OpenKeys().ToDictionary(key => key.ToText(), StringComparer.Ordinal);
        var holders = await BudgetHolders.HoldersAsync(storage, holder, [.. keys.Values], cancellationToken);
        if (holders.Count == 0) return AskState.NobodyHolds;
        if (holders.TrueForAll(one => ask.HasResponse(one.Holder, keys[one.Budget]))) return AskState.Responded;
        asks.Send(ask, keys.Values);
        return AskState.Waiting;
    }

    private enum AskState
    {
        Waiting,

        /// <summary>Each process that holds parts of the budgets has returned what it does not use.</summary>
        Responded,

        /// <summary>All was returned since the last grant.</summary>
        NobodyHolds,
    }

    /// <summary>The needs of one call, and what was granted.</summary>
    private sealed class Request(IReadOnlyList<BudgetNeed> needs)
    {
        private readonly Dictionary<int, BudgetGrantResult> _last = [];

        public BudgetGrant[] Grants { get; } = new BudgetGrant[needs.Count];

        /// <summary>Indexes of the needs whose minimum was not granted.</summary>
        public List<int> Open { get; } = [.. Enumerable.Range(0, needs.Count)];

        public List<BudgetNeed> OpenNeeds() => Open.ConvertAll(i => needs[i]);

        public IEnumerable<BudgetKey> OpenKeys() => Open.Select(i => needs[i].Key);

        public void Add(BudgetGrantResult[] results)
        {
            for (var i = 0; i < results.Length; i++)
            {
                Grants[Open[i]] = results[i].Grant;
                _last[Open[i]] = results[i];
            }
            Open.RemoveAll(i => Grants[i].Granted > 0 || needs[i].Minimum <= 0);
        }

        public IEnumerable<(BudgetKey Key, long Amount)> Granted() =>
            Grants.Select((grant, i) => (needs[i].Key, grant.Granted)).Where(one => one.Granted > 0);

        /// <summary>Whether all open needs could be met if everything that is held were returned.</summary>
        public bool CanBeHelped(bool isReplaying) =>
            Open.TrueForAll(i => Reachable(i, isReplaying) + _last[i].Others >= needs[i].Minimum);

        /// <summary>Whether something is needed that only other nodes can return.</summary>
        public bool NeedsOthers(bool isReplaying) => Open.Exists(i => Reachable(i, isReplaying) < needs[i].Minimum);

        private Int128 Reachable(int i, bool isReplaying) => _last[i].Available + (isReplaying ? _last[i].Earlier : 0);
    }
}

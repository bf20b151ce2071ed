using System.Collections.Concurrent;
using System.Net;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>Continuous calls of tenants at all nodes, and what became of each.</summary>
internal sealed class FaultLoad(FaultWorld world)
{
    /// <summary>Between two calls of one tenant at one node, so that a small machine has time for the faults.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(40);

    private readonly List<Task> _workers = [];
    private readonly ConcurrentDictionary<FaultTenant, Calls> _calls = new();
    private long _seed;
    private long _ended;
    private volatile bool _isStopped;

    /// <summary>Refusals that no documented policy allows, and failures.</summary>
    public ConcurrentQueue<string> Wrong { get; } = new();

    /// <summary>What became of the calls of a tenant.</summary>
    public Calls Of(FaultTenant tenant) => _calls[tenant];

    /// <summary>Starts calls of a tenant at all nodes.</summary>
    /// <param name="tenant">The tenant.</param>
    /// <param name="refusal">The only refusal that its limits explain; null if they never refuse a call.</param>
    /// <param name="hasBudget">Whether it needs the database when a slice is used up.</param>
    public void Start(FaultTenant tenant, string? refusal, bool hasBudget)
    {
        _calls[tenant] = new Calls();
        for (var i = 0; i < FaultWorld.Count; i++)
        {
            var node = i;
            _workers.Add(Task.Run(() => WorkAsync(node, tenant, refusal, hasBudget), CancellationToken.None));
        }
    }

    /// <summary>Waits until so many more calls have ended.</summary>
    public async Task EndedAsync(int calls)
    {
        var until = Interlocked.Read(ref _ended) + calls;
        while (Interlocked.Read(ref _ended) < until) await Task.Delay(Pause, TimeProvider.System, TestContext.Current.CancellationToken);
    }

    public Task StopAsync()
    {
        _isStopped = true;
        return Task.WhenAll(_workers);
    }

    /// <summary>One call, whose end is noted.</summary>
    /// <returns>Whether it was served.</returns>
    public async Task<bool> SendAsync(int i, FaultTenant tenant, string? refusal, bool hasBudget)
    {
        if (world.NodeOf(i) is not { } node) return false;
        var (seed, kills, faults) = (Interlocked.Increment(ref _seed), world.KillsOf(i), world.DatabaseFaults);
        var calls = _calls[tenant];
        calls.Sent.Enqueue(seed);
        try
        {
            var (status, text) = await FaultWorld.CallAsync(node, tenant, seed);
            if (status == HttpStatusCode.OK)
            {
                calls.Served.Enqueue(seed);
                return true;
            }
            var wasDatabaseDown = faults % 2 == 1 || world.DatabaseFaults != faults;
            if (refusal is not null && text.Contains(refusal, StringComparison.Ordinal)) Interlocked.Increment(ref calls.Refused);
            else if (hasBudget && wasDatabaseDown && text.Contains("store_unavailable", StringComparison.Ordinal)) Interlocked.Increment(ref calls.Unavailable);
            else Wrong.Enqueue($"{seed}: {(int)status} {text}");
        }
        catch (HttpRequestException exception)
        {
            if (world.KillsOf(i) != kills) Interlocked.Increment(ref calls.Killed);
            else Wrong.Enqueue($"{seed}: {exception}");
        }
        finally
        {
            Interlocked.Increment(ref _ended);
        }
        return false;
    }

    private async Task WorkAsync(int node, FaultTenant tenant, string? refusal, bool hasBudget)
    {
        while (!_isStopped)
        {
            await SendAsync(node, tenant, refusal, hasBudget);
            await Task.Delay(Pause, TimeProvider.System, CancellationToken.None);
        }
    }

    /// <summary>The calls of a tenant, by their seeds.</summary>
    internal sealed class Calls
    {
        /// <summary>Refused by the limit.</summary>
        public int Refused;

        /// <summary>Refused while the database was unavailable.</summary>
        public int Unavailable;

        /// <summary>Without a response, because their node was killed.</summary>
        public int Killed;

        public ConcurrentQueue<long> Sent { get; } = new();

        public ConcurrentQueue<long> Served { get; } = new();
    }
}

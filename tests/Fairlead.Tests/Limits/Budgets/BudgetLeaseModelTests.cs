using CsCheck;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;
using Fairlead.Tests.Auditing;

namespace Fairlead.Tests.Limits.Budgets;

/// <summary>
/// Random histories of three nodes: calls, shipping, kills, restarts, returns, changed limits. After every step, what all calls really used
/// and what nodes may still use is covered by the ledger and the leases, and grants never exceed the limit.
/// </summary>
public sealed class BudgetLeaseModelTests
{
    private static readonly BudgetKey Project = BudgetWorld.Key();

    private enum Step
    {
        Acquire,
        Begin,
        End,
        Ship,
        ShipOnce,
        Return,
        Kill,
        ChangeLimit,
    }

    private static readonly Gen<(Step Step, int Node, int Amount)[]> Histories =
        Gen.Select(Gen.Enum<Step>(), Gen.Int[0, 2], Gen.Int[0, 99]).Array[10, 60];

    [Fact]
    public Task Sqlite_RandomHistories_NeverExceedTheLimit() => CheckAsync(StorageProvider.Sqlite, iterations: 60);

    [Fact]
    public Task Postgres_RandomHistories_NeverExceedTheLimit() => CheckAsync(StorageProvider.Postgres, iterations: 25);

    private static async Task CheckAsync(StorageProvider provider, long iterations)
    {
        // Creating a database takes longer than a history, so all histories use one, each in a project of its own.
        using var world = new BudgetWorld(provider);
        var number = 0;
        await Histories.SampleAsync(async history =>
        {
            var run = new History(world, $"proj_{Interlocked.Increment(ref number)}");
            await run.CheckAsync(history);
        }, iter: iterations, threads: 1);
    }

    private sealed class History(BudgetWorld world, string project)
    {
        private readonly BudgetKey _key = Project with { ScopeId = project };
        private readonly BudgetNode[] _nodes = [world.Start(), world.Start(), world.Start()];
        private readonly List<(int Node, Fairlead.Pipeline.GatewayCall Call, long Reserved)> _running = [];
        private long _limit = 20_000_000_000;
        private long _maxLimit = 20_000_000_000;
        private long _used;

        public async Task CheckAsync((Step Step, int Node, int Amount)[] history)
        {
            foreach (var (step, node, amount) in history)
            {
                await DoAsync(step, node, amount);
                await CheckAsync();
            }

            // All ends, and everything is returned.
            while (_running.Count > 0) await EndAsync(0, 7);
            foreach (var node in _nodes) await node.ShipAsync();
            foreach (var node in _nodes)
            {
                node.Leases.Return([(_key, node.Slices.TakeUnused(_key))]);
                await node.Returns.FlushAsync(BudgetWorld.Cancel);
            }
            Assert.Equal(0, await world.OutstandingAsync(_key));
            Assert.Equal(_used, await SettledAsync());
            foreach (var node in _nodes) node.Kill();
            foreach (var node in _nodes) node.Dispose();
        }

        private async Task DoAsync(Step step, int index, int amount)
        {
            var node = _nodes[index];
            switch (step)
            {
                case Step.Acquire:
                    var settled = await SettledAsync();
                    var held = await world.OutstandingAsync(_key);
                    var grant = await node.AcquireAsync(_key, _limit, 1 + (amount * 10_000_000L), 1 + (amount * 40_000_000L));
                    if (grant.Granted > 0) Assert.True(settled + held + grant.Granted <= _limit);
                    break;
                case Step.Begin:
                    // The worst case is what the call may use at most.
                    var worst = BudgetNode.CostOf(amount);
                    if (!node.Slices.TryTake(_key, worst)) return;
                    var call = RecordedCalls.New(world.CallTime, project);
                    await node.Spool.AttemptStartedAsync(call, call.Try());
                    _running.Add((index, call, worst));
                    break;
                case Step.End:
                    if (_running.Count > 0) await EndAsync(amount % _running.Count, amount);
                    break;
                case Step.Ship:
                    await node.ShipAsync();
                    break;
                case Step.ShipOnce:
                    await node.Shipper.ShipAsync(BudgetWorld.Cancel);
                    break;
                case Step.Return:
                    node.Leases.Return([(_key, node.Slices.TakeUnused(_key))]);
                    if (amount % 2 == 0) await node.Returns.FlushAsync(BudgetWorld.Cancel);
                    break;
                case Step.Kill:
                    // The next process takes the same folder; what was free or waited to be returned is forgotten.
                    node.Kill();
                    node.Dispose();
                    foreach (var (_, lost, _) in _running.Where(one => one.Node == index))
                    {
                        // Without a checkpoint it is charged for its input.
                        _used += BudgetNode.CostOf(0);
                        _ = lost;
                    }
                    _running.RemoveAll(one => one.Node == index);
                    _nodes[index] = world.Start();
                    break;
                case Step.ChangeLimit:
                    _limit = amount * 300_000_000L;
                    _maxLimit = Math.Max(_maxLimit, _limit);
                    break;
            }
        }

        private async Task EndAsync(int which, int amount)
        {
            var (index, call, reserved) = _running[which];
            _running.RemoveAt(which);
            var most = (reserved - BudgetNode.CostOf(0)) / 8_000_000;
            var output = Math.Min(amount, most);
            await _nodes[index].Spool.CallEndedAsync(call.End(output), 200);
            _used += BudgetNode.CostOf(output);
            _nodes[index].Slices.Add(_key, reserved - BudgetNode.CostOf(output));
        }

        private async Task CheckAsync()
        {
            var covered = await SettledAsync() + await world.OutstandingAsync(_key);
            var possible = _used + _running.Sum(one => one.Reserved) + _nodes.Sum(node => node.Slices.Free(_key));
            Assert.True(possible <= covered, $"{possible} can be used, but only {covered} are covered.");
            // While a killed process's calls are replayed they count twice, at most as much as was granted.
            Assert.True(_used <= _maxLimit);
        }

        private Task<long> SettledAsync() =>
            world.CountAsync($"SELECT CAST(COALESCE(SUM(cost_pico_usd), 0) AS BIGINT) FROM usage_hours WHERE project_id = '{project}'");
    }
}

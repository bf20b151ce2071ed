using Fairlead.Limits;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Limits.Budgets;

public sealed class SqliteBudgetLeasesTests() : BudgetLeasesTests(StorageProvider.Sqlite);

public sealed class PostgresBudgetLeasesTests() : BudgetLeasesTests(StorageProvider.Postgres);

/// <summary>What leases promise on both databases.</summary>
public abstract class BudgetLeasesTests : IDisposable
{
    private static readonly BudgetKey Project = BudgetWorld.Key();

    /// <summary>Long enough that no test waits for it.</summary>
    private static readonly BudgetLeaseOptions Patient = new() { AskTimeout = TimeSpan.FromMinutes(2), ReplayTimeout = TimeSpan.FromMinutes(2) };

    private readonly StorageProvider _provider;
    private readonly BudgetWorld _world;

    private protected BudgetLeasesTests(StorageProvider provider)
    {
        _provider = provider;
        _world = new BudgetWorld(provider);
    }

    public void Dispose()
    {
        _world.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Acquire_ParallelRequestsOfThreeNodes_GrantTheLimitAndNoMore()
    {
        BudgetNode[] nodes = [_world.Start(), _world.Start(), _world.Start()];
        var grants = await Task.WhenAll(Enumerable.Range(0, 50).Select(i => Task.Run(async () =>
        {
            var total = 0L;
            while (await nodes[i % 3].AcquireAsync(Project, 10_007, 7, 100) is { Granted: > 0 and var granted })
            {
                Assert.True(granted >= 7);
                total += granted;
            }
            return total;
        }, BudgetWorld.Cancel)));
        Assert.InRange(grants.Sum(), 10_007 - 6, 10_007);
        Assert.Equal(grants.Sum(), await _world.OutstandingAsync());
    }

    [Fact]
    public async Task Acquire_SeveralNeedsInAnyOrder_NeverDeadlocks()
    {
        BudgetNode[] nodes = [_world.Start(), _world.Start(), _world.Start()];
        BudgetKey[] keys = [Project, BudgetWorld.Key(LimitScope.Key, "key_1"), BudgetWorld.Key(LimitScope.Organization, "org_of_proj_1"), BudgetWorld.Key(LimitScope.Model, "org_of_proj_1", "large"), BudgetWorld.Key(name: LimitName.TokensPerDay)];
        await Task.WhenAll(Enumerable.Range(0, 12).Select(i => Task.Run(async () =>
        {
            var (node, random) = (nodes[i % 3], new Random(i));
            for (var round = 0; round < 8; round++)
            {
                var order = keys.ToArray();
                random.Shuffle(order);
                await node.Leases.AcquireAsync([.. order.Take(1 + random.Next(5)).Select(key => new BudgetNeed(key, 1_000_000_000_000, 5, 50))], BudgetWorld.Cancel);
                await node.RunAsync(_world);
                if (i < 3) await node.ShipAsync();
                node.Leases.Return([.. order.Select(key => (key, 3L))]);
                await node.Returns.FlushAsync(BudgetWorld.Cancel);
            }
        }, BudgetWorld.Cancel)));
        foreach (var node in nodes) await node.ShipAsync();
        Assert.Equal(96 * BudgetNode.CostOf(10), await _world.SettledAsync());
    }

    [Fact]
    public async Task Acquire_NearTheEnd_GrantsShrinkToSingleCalls()
    {
        var node = _world.Start();
        var granted = new List<long>();
        while (await node.AcquireAsync(Project, 1000, 10, 500) is { Granted: > 0 } grant) granted.Add(grant.Granted);
        Assert.Equal(250, granted[0]);
        Assert.Equal(granted.OrderDescending(), granted);
        Assert.Equal(10, granted[^1]);
        Assert.InRange(granted.Sum(), 991, 1000);
    }

    [Fact]
    public async Task Acquire_UnusedSliceOfAnotherNode_IsReturnedOnRequest()
    {
        var (first, second) = (_world.Start(Patient), _world.Start(Patient));
        await first.Keeper.StartAsync(BudgetWorld.Cancel);
        while ((await first.Leases.AcquireAsync([new BudgetNeed(Project, 100, 1, 100)], BudgetWorld.Cancel))[0] is { Granted: > 0 } grant) first.Slices.Add(Project, grant.Granted);
        Assert.Equal(100, first.Slices.Free(Project));
        Assert.True(first.Slices.TryTake(Project, 30));

        var taken = await second.AcquireAsync(Project, 100, 70);
        Assert.Equal(70, taken.Granted);
        // The rest is in use, and the other node says so at once: the timeout is longer than this test may run.
        var refused = await second.AcquireAsync(Project, 100, 1);
        Assert.Equal(new BudgetGrant(0, 0, 30), refused);
        Assert.Equal(100, await _world.OutstandingAsync());
        await first.Keeper.StopAsync(BudgetWorld.Cancel);
    }

    [Fact]
    public async Task Ship_OwnCalls_MoveFromLeasesToLedger()
    {
        var node = _world.Start();
        BudgetKey[] keys =
        [
            Project, BudgetWorld.Key(LimitScope.Key, "key_1"), BudgetWorld.Key(LimitScope.Organization, "org_of_proj_1"), BudgetWorld.Key(LimitScope.Model, "org_of_proj_1", "large"),
            BudgetWorld.Key(LimitScope.Model, "org_of_proj_1", "other"), BudgetWorld.Key(@class: "bulk"), BudgetWorld.Key(name: LimitName.TokensPerMonth), BudgetWorld.Key(name: LimitName.TokensPerDay), BudgetWorld.Key(name: LimitName.UsdPerDay),
            BudgetWorld.Key() with { PeriodStart = new(2026, 10, 1, 0, 0, 0, TimeSpan.Zero) },
        ];
        const long Slice = 1_000_000_000;
        foreach (var key in keys) await node.AcquireAsync(key, Slice, Slice);
        await node.RunAsync(_world);
        await node.RunAsync(_world, output: 20, @class: "bulk");
        await node.ShipAsync();

        var both = BudgetNode.CostOf(10) + BudgetNode.CostOf(20);
        long[] used = [both, both, both, both, 0, BudgetNode.CostOf(20), 230, 230, both, 0];
        for (var i = 0; i < keys.Length; i++) Assert.Equal(Slice - used[i], await _world.OutstandingAsync(keys[i]));
        // What was settled from the own slice is not used elsewhere, and nothing is left.
        foreach (var key in keys) Assert.Equal(new BudgetGrant(0, 0, 0), await node.AcquireAsync(key, Slice, 1));
    }

    [Fact]
    public async Task Acquire_FirstOfABudget_CountsAllCallsThatEndedBefore()
    {
        var node = _world.Start(Patient);
        await node.RunAsync(_world);
        await node.Shipper.StartAsync(BudgetWorld.Cancel);
        var grant = await node.AcquireAsync(Project, BudgetNode.CostOf(10) + 5, 5);
        Assert.Equal(new BudgetGrant(5, BudgetNode.CostOf(10), 0), grant);
        await node.Shipper.StopAsync(BudgetWorld.Cancel);
    }

    [Fact]
    public async Task Acquire_LedgerBehind_Throws()
    {
        var node = _world.Start();
        await node.RunAsync(_world);
        await Assert.ThrowsAsync<LedgerBehindException>(() => node.AcquireAsync(Project, 1_000_000_000, 5));
    }

    [Fact]
    public async Task Acquire_UsageAboveTheSlice_LeavesNothingOutstandingAndIsCounted()
    {
        var node = _world.Start();
        await node.AcquireAsync(Project, 1_000_000_000, 100_000_000);
        if (_provider == StorageProvider.Sqlite) node.Leases.Return([(Project, 900_000_000)]);
        await node.Returns.FlushAsync(BudgetWorld.Cancel);
        await node.RunAsync(_world);
        await node.ShipAsync();
        Assert.Equal(0, await _world.OutstandingAsync());
        Assert.Equal(0, (await node.AcquireAsync(Project, 1_000_000_000, 720_000_001)).Granted);
        Assert.Equal(720_000_000, (await node.AcquireAsync(Project, 1_000_000_000, 720_000_000)).Granted);
    }

    /// <summary>Neither the calls that a killed process finished nor those that it did not are free.</summary>
    [Fact]
    public async Task Restart_AfterKill_HoldsTheLeaseUntilItsSpoolIsReplayed()
    {
        const long Limit = 5_000_000_000;
        var first = _world.Start();
        await first.AcquireAsync(Project, Limit, 2_000_000_000);
        var held = await _world.OutstandingAsync();
        await first.RunAsync(_world);
        var (running, attempt) = await first.BeginAsync(_world);
        attempt.Meter.AddOutput(40);
        first.Spool.AttemptProgressed(running, attempt);
        first.Kill();

        var second = _world.Start(Patient);
        Assert.Equal(first.Holder.Node, second.Holder.Node);
        Assert.NotEqual(first.Holder, second.Holder);
        var waiting = second.AcquireAsync(Project, Limit, Limit - held + 1);
        Assert.Equal(held, await _world.OutstandingAsync());
        await second.Shipper.StartAsync(BudgetWorld.Cancel);
        Assert.True((await waiting).Granted > Limit - held);
        Assert.Equal(2, await _world.CountAsync("SELECT COUNT(*) FROM ledger_entries"));
        Assert.Equal(1, await _world.CountAsync("SELECT COUNT(*) FROM budget_holders"));
        Assert.Equal(1, await _world.CountAsync("SELECT COUNT(*) FROM budget_leases"));
        // The calls of the earlier process were not taken from the new one's slice.
        Assert.Equal((await waiting).Granted, await _world.OutstandingAsync());
        await second.Shipper.StopAsync(BudgetWorld.Cancel);
    }

    [Fact]
    public async Task Adopt_FolderOfAnotherNode_ReleasesItsLeaseWhenItsRecoveredCallsAreInTheLedger()
    {
        var (first, other) = (_world.Start(), _world.Start());
        await first.AcquireAsync(Project, 1_000_000_000, 1_000_000_000);
        await other.AcquireAsync(Project, 2_000_000_000, 1_000_000_000);
        await other.BeginAsync(_world);
        first.Kill();
        other.Kill();

        var next = _world.Start();
        Assert.NotNull(next.Spool.Adopted.SingleOrDefault());
        var before = await _world.OutstandingAsync();
        Assert.Equal(2_000_000_000, before);
        // The adopted folder is removed in an earlier pass than its recovered call is written: meanwhile the lease is still held.
        while (await _world.CountAsync("SELECT COUNT(*) FROM ledger_entries") == 0)
        {
            Assert.Equal(before, await _world.OutstandingAsync());
            await next.Shipper.ShipAsync(BudgetWorld.Cancel);
        }
        await next.ShipAsync();
        Assert.Equal(0, await _world.OutstandingAsync());
        Assert.Equal(0, await _world.CountAsync("SELECT COUNT(*) FROM budget_holders"));
    }

    /// <summary>The process that adopted a folder was killed before the recovered calls were in the ledger.</summary>
    [Fact]
    public async Task Adopt_AdopterIsKilled_ItsNextProcessReleasesBoth()
    {
        // The next process takes the first folder as its own.
        BudgetNode[] nodes = [_world.Start(), _world.Start()];
        Array.Sort(nodes, (left, right) => string.CompareOrdinal(left.Holder.Node, right.Holder.Node));
        var (first, other) = (nodes[0], nodes[1]);
        await other.AcquireAsync(Project, 2_000_000_000, 100_000_000);
        await other.BeginAsync(_world);
        first.Kill();
        other.Kill();
        var adopter = _world.Start();
        while (Directory.Exists(other.Spool.Folder.Path)) await adopter.Shipper.ShipAsync(BudgetWorld.Cancel);
        adopter.Kill();
        var held = await _world.OutstandingAsync();

        var last = _world.Start();
        if (await _world.CountAsync("SELECT COUNT(*) FROM ledger_entries") == 0) Assert.True(held > 0);
        await last.ShipAsync();
        Assert.Equal(1, await _world.CountAsync("SELECT COUNT(*) FROM ledger_entries"));
        Assert.Equal(0, await _world.OutstandingAsync());
    }

    [Fact]
    public async Task WriteOff_NodeWithoutSignOfLife_CountsAsUsedUntilItReturns()
    {
        var time = new FakeTimeProvider(BudgetWorld.Now);
        var options = new BudgetLeaseOptions { AskTimeout = TimeSpan.Zero, ReplayTimeout = TimeSpan.Zero };
        var (lost, alive) = (_world.Start(), _world.Start(options, time: time));
        await lost.AcquireAsync(Project, 1000, 1000);
        Assert.Equal(new BudgetGrant(0, 0, 1000), await alive.AcquireAsync(Project, 1000, 1));

        async Task<int> PassAsync(int minutes, bool isAlive)
        {
            var count = 0;
            for (var i = 0; i < minutes; i++)
            {
                if (isAlive) await lost.Holders.BeatAsync(null, BudgetWorld.Cancel);
                count += (await alive.Holders.WriteOffAsync(BudgetWorld.Cancel)).Count;
                time.Advance(TimeSpan.FromMinutes(1));
            }
            return count;
        }
        Assert.Equal(0, await PassAsync(30, isAlive: true));
        Assert.Equal(0, await PassAsync(9, isAlive: false));
        // After a gap, which may have been an outage of the database, the time starts again.
        time.Advance(TimeSpan.FromMinutes(20));
        Assert.Equal(0, await PassAsync(10, isAlive: false));
        Assert.Equal(1, await PassAsync(2, isAlive: false));
        Assert.Equal(new BudgetGrant(0, 1000, 0), await alive.AcquireAsync(Project, 1000, 1));

        // It was only slow: it may spend what it holds, and can return it.
        await lost.Holders.BeatAsync(null, BudgetWorld.Cancel);
        Assert.Equal(new BudgetGrant(0, 0, 1000), await alive.AcquireAsync(Project, 1000, 1));
        lost.Leases.Return([(Project, 400)]);
        await lost.Returns.FlushAsync(BudgetWorld.Cancel);
        Assert.Equal(400, (await alive.AcquireAsync(Project, 1000, 400)).Granted);
    }

    [Fact]
    public async Task Clean_EndedPeriods_DeletesWhatIsSettledOrWrittenOff()
    {
        var time = new FakeTimeProvider(BudgetWorld.Now);
        var (lost, alive) = (_world.Start(), _world.Start(new BudgetLeaseOptions { WriteOffAfter = () => TimeSpan.FromMinutes(5) }, time: time));
        await lost.AcquireAsync(Project, 1000, 100);
        await lost.AcquireAsync(BudgetWorld.Key(name: LimitName.UsdPerDay), 1000, 100);
        await alive.AcquireAsync(BudgetWorld.Key(LimitScope.Key, "key_1", name: LimitName.UsdPerDay), 1000, 100);
        await alive.Holders.CleanAsync(BudgetWorld.Cancel);
        Assert.Equal(3, await _world.CountAsync("SELECT COUNT(*) FROM budget_leases"));

        time.Advance(TimeSpan.FromDays(1));
        await alive.Holders.CleanAsync(BudgetWorld.Cancel);
        // A call of yesterday may still run.
        Assert.Equal(3, await _world.CountAsync("SELECT COUNT(*) FROM budget_leases"));
        for (var i = 0; i < 7; i++)
        {
            await alive.Holders.WriteOffAsync(BudgetWorld.Cancel);
            time.Advance(TimeSpan.FromMinutes(1));
        }
        alive.Leases.Return([(BudgetWorld.Key(LimitScope.Key, "key_1", name: LimitName.UsdPerDay), 1000)]);
        await alive.Returns.FlushAsync(BudgetWorld.Cancel);
        await alive.Holders.CleanAsync(BudgetWorld.Cancel);
        // The month of the lost node has not ended.
        Assert.Equal(1, await _world.CountAsync("SELECT COUNT(*) FROM budget_leases"));
        Assert.Equal(2, await _world.CountAsync("SELECT COUNT(*) FROM budget_holders"));
    }

    [Fact]
    public async Task Stop_AllCallsInLedger_ReturnsEverything()
    {
        var node = _world.Start();
        await node.AcquireAsync(Project, 1_000_000_000, 500_000_000);
        await node.RunAsync(_world);
        await node.ShipAsync();
        await node.Keeper.StopAsync(BudgetWorld.Cancel);
        Assert.Equal(0, await _world.OutstandingAsync());
        Assert.Equal(0, await _world.CountAsync("SELECT COUNT(*) FROM budget_holders"));
    }

    [Fact]
    public async Task Stop_CallStillRuns_KeepsTheLease()
    {
        var node = _world.Start();
        await node.AcquireAsync(Project, 1_000_000_000, 1_000_000_000);
        await node.BeginAsync(_world);
        await node.ShipAsync();
        await node.Keeper.StopAsync(BudgetWorld.Cancel);
        Assert.Equal(1_000_000_000, await _world.OutstandingAsync());
    }

    [Fact]
    public async Task Acquire_CancelledWhileItWaits_ReturnsWhatWasGranted()
    {
        var (first, second) = (_world.Start(), _world.Start(Patient));
        await first.AcquireAsync(Project, 100, 100);
        using var stop = new CancellationTokenSource();
        var other = BudgetWorld.Key(LimitScope.Key, "key_1");
        var waiting = second.Leases.AcquireAsync([new BudgetNeed(other, 50, 10, 10), new BudgetNeed(Project, 100, 10, 10)], stop.Token);
        while (await _world.OutstandingAsync(other) == 0) Assert.False(waiting.IsCompleted);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await second.Returns.FlushAsync(BudgetWorld.Cancel);
        Assert.Equal(0, await _world.OutstandingAsync(other));
        Assert.Equal(100, await _world.OutstandingAsync(Project));
    }

    /// <summary>The usage of an owner is read by its index, however many others there are.</summary>
    [Theory]
    [InlineData(0, "usage_hours_by_organization")]
    [InlineData(1, "usage_hours_by_project")]
    [InlineData(2, "usage_hours_by_key")]
    [InlineData(3, "usage_hours_by_organization_model")]
    public async Task Sums_OfOneOwner_UseItsIndex(int scope, string index)
    {
        await using var connection = await _world.Storage.OpenAsync(BudgetWorld.Cancel);
        await connection.ExecuteAsync(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            INSERT INTO usage_hours (project_id, key_id, hour, model, outcome, class, organization_id, requests, input_tokens, cached_input_tokens,
                cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd)
            SELECT 'proj_' || (i % 200), 'key_' || (i % 400), 1795392000000 + (i / 400) * 3600000, 'model_' || (i % 7), 'complete', 'standard', 'org_' || (i % 100), 1, 1, 0, 0, 1, 0, 10 FROM n
            """, [], BudgetWorld.Cancel);
        await connection.ExecuteAsync("ANALYZE", [], BudgetWorld.Cancel);
        var key = BudgetWorld.Key((LimitScope)scope, scope switch { 1 => "proj_7", 2 => "key_7", _ => "org_7" }, scope == 3 ? "model_0" : null);
        // As the reader writes it.
        var (owner, explain) = (scope switch { 0 => "organization_id = 'org_7'", 1 => "project_id = 'proj_7'", 2 => "key_id = 'key_7'", _ => "organization_id = 'org_7' AND model = 'model_0'" }, _provider == StorageProvider.Sqlite ? "EXPLAIN QUERY PLAN" : "EXPLAIN");
        var by = _provider == StorageProvider.Sqlite ? " INDEXED BY " + index : "";
        var plan = await connection.QueryAsync($"{explain} SELECT SUM(cost_pico_usd) FROM usage_hours{by} WHERE {owner} AND hour >= 1793491200000 AND hour < 1796083200000", [], row => row.Text(_provider == StorageProvider.Sqlite ? "detail" : "QUERY PLAN"), BudgetWorld.Cancel);
        Assert.Contains(plan, line => line.Contains(index, StringComparison.Ordinal));
        Assert.DoesNotContain(plan, line => line.Contains("Seq Scan", StringComparison.Ordinal));

        var node = _world.Start();
        var expected = await _world.CountAsync($"SELECT CAST(SUM(cost_pico_usd) AS BIGINT) FROM usage_hours WHERE {owner}");
        Assert.True(expected > 0);
        Assert.Equal(expected, (await node.AcquireAsync(key, 1_000_000, 1)).UsedElsewhere);
    }
}

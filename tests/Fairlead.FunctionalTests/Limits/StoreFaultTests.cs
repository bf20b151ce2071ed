using System.Globalization;
using System.Text.Json;
using Fairlead.FunctionalTests.Processes;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>
/// Three programs under load while Redis is killed, started again and flushed, PostgreSQL is stopped, and a program is killed. No budget is
/// exceeded, no record is lost, no call is refused except by its limits and by the documented policy, and everything heals.
/// </summary>
public sealed class StoreFaultTests
{
    private static readonly bool IsFull = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1";

    private static readonly int Rounds = IsFull ? 3 : 1;

    private static readonly TimeSpan Outage = TimeSpan.FromSeconds(IsFull ? 20 : 6);

    /// <summary>Calls that a fault lasts, of all tenants together.</summary>
    private static readonly int Calls = IsFull ? 2000 : 600;

    /// <summary>Requests per minute of the tenant whose rate is reached.</summary>
    private const int Rate = 120;

    private const string BudgetRefusal = "insufficient_quota";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Faults_OfAllStoresAndANode_ExceedNoBudgetAndLoseNoRecord()
    {
        await using var world = await FaultWorld.StartAsync();
        // One budget is used up early, one late; one never. One tenant has rates that it does not reach, and one those that it does.
        (FaultTenant Tenant, int Paid)[] small =
        [
            (await BudgetAsync(world, 200 * Rounds), 200 * Rounds), (await BudgetAsync(world, 800 * Rounds), 800 * Rounds),
        ];
        var rich = await BudgetAsync(world, 10_000_000);
        var fast = await world.AddTenantAsync("""{"requests_per_minute":1000000,"input_tokens_per_minute":100000000,"concurrent_generations":1000}""");
        var slow = await world.AddTenantAsync(string.Create(CultureInfo.InvariantCulture, $$"""{"requests_per_minute":{{Rate}}}"""));

        var since = TimeProvider.System.GetTimestamp();
        var load = new FaultLoad(world);
        foreach (var (tenant, _) in small) load.Start(tenant, BudgetRefusal, hasBudget: true);
        load.Start(rich, null, hasBudget: true);
        load.Start(fast, null, hasBudget: false);
        load.Start(slow, "rate_limit_exceeded", hasBudget: false);
        for (var round = 0; round < Rounds; round++) await FailAsync(world, load, rich, round);
        await load.StopAsync();
        var seconds = TimeProvider.System.GetElapsedTime(since).TotalSeconds;

        await world.HealedAsync(rich);
        foreach (var (tenant, paid) in small) await UseUpAsync(world, load, tenant, paid);
        Assert.Empty(load.Wrong);
        await CheckRecordsAsync(world, load, [.. small.Select(one => one.Tenant), rich, fast, slow]);

        // All of them were served in every state, and the rate of all nodes together by at most what the guide says: a full bucket at first and
        // after each loss of Redis' content, one in shares in each outage, and what refills.
        Assert.True(load.Of(rich).Served.Count > Calls / 2 && load.Of(fast).Served.Count > Calls / 2);
        Assert.InRange(load.Of(slow).Served.Count, Rate, (Rate * (1 + (3 * Rounds))) + (Rate * seconds / 60) + FaultWorld.Count);
        Assert.True(load.Of(slow).Refused > 0);
    }

    /// <summary>Each fault lasts while calls go on, and then everything heals.</summary>
    private static async Task FailAsync(FaultWorld world, FaultLoad load, FaultTenant rich, int round)
    {
        await load.EndedAsync(Calls);
        world.Redis.Stop();
        await load.EndedAsync(Calls);
        world.Redis.Resume();
        await world.HealedAsync(rich);

        await world.FlushRedisAsync();
        await load.EndedAsync(Calls);

        world.StopPostgres();
        await Task.Delay(Outage, TimeProvider.System, Cancel);
        await world.ResumePostgresAsync(rich);
        await load.EndedAsync(Calls);

        var killed = round % FaultWorld.Count;
        await world.KillAsync(killed);
        await load.EndedAsync(Calls);
        await world.StartAsync(killed);
        await world.HealedAsync(rich);
        await load.EndedAsync(Calls);
    }

    private static Task<FaultTenant> BudgetAsync(FaultWorld world, int paid) => world.AddTenantAsync(
        string.Create(CultureInfo.InvariantCulture, $$"""{"usd_per_month":{{paid * FaultWorld.Cost}}}"""));

    /// <summary>Sends calls until the budget pays for no other. It is not exceeded, and nothing is held.</summary>
    private static async Task UseUpAsync(FaultWorld world, FaultLoad load, FaultTenant tenant, int paid)
    {
        var since = TimeProvider.System.GetTimestamp();
        var limit = default(JsonElement);
        while (true)
        {
            var isServed = false;
            for (var i = 0; i < FaultWorld.Count; i++) isServed |= await load.SendAsync(i, tenant, BudgetRefusal, hasBudget: true);
            limit = await BudgetServers.LimitAsync(world.NodeOf(0)!, tenant.Id);
            var used = limit.GetProperty("used").GetDecimal();
            Assert.True(used <= paid * FaultWorld.Cost, limit.GetRawText());
            if (!isServed && used > (paid - 1) * FaultWorld.Cost && limit.GetProperty("reserved").GetDecimal() == 0) break;
            if (TimeProvider.System.GetElapsedTime(since) > Patience) Assert.Fail("The budget is not used up: " + limit.GetRawText());
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
        var (served, killed) = (load.Of(tenant).Served.Count, load.Of(tenant).Killed);
        // A killed call may have been charged without being seen.
        Assert.InRange(served, paid - killed, paid);
        Assert.True(load.Of(tenant).Refused > 0);
    }

    /// <summary>Every call that was served has one record, and no call has two.</summary>
    private static async Task CheckRecordsAsync(FaultWorld world, FaultLoad load, FaultTenant[] tenants)
    {
        var served = tenants.SelectMany(tenant => load.Of(tenant).Served).ToHashSet();
        var records = await AuditSight.RecordsWhenAsync(world.NodeOf(1)!, all => served.IsSubsetOf(all.Select(SeedOf)));
        var seeds = records.Select(SeedOf).Where(seed => seed > 0).ToArray();
        Assert.Empty(served.Except(seeds));
        Assert.Equal(seeds.Length, seeds.Distinct().Count());
        // Every call that reached the model is paid: no budget paid for more than it has.
        var charged = records.Where(record => record.GetProperty("cost_usd").GetDecimal() > 0).Select(SeedOf).ToHashSet();
        Assert.Empty(served.Except(charged));
        foreach (var tenant in tenants)
        {
            var sent = load.Of(tenant).Sent.ToHashSet();
            var reached = world.Upstream.Received.Select(body => body.GetProperty("seed").GetInt64()).Where(sent.Contains).ToArray();
            Assert.Equal(reached.Length, reached.Distinct().Count());
            Assert.InRange(reached.Length, load.Of(tenant).Served.Count, load.Of(tenant).Served.Count + load.Of(tenant).Killed);
        }

        static long SeedOf(JsonElement record) => AuditSight.SeedOf(record) ?? 0;
    }
}

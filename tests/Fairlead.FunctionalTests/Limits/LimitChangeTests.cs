using System.Globalization;
using System.Net;
using System.Text;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>A limit that an administrator changes while three programs serve calls: it is in force on all of them, and nothing is forgotten.</summary>
public sealed class LimitChangeTests
{
    private const int Before = 10;

    private const int Lowered = 6;

    /// <summary>Two seconds are promised. A machine that runs other tests gets more.</summary>
    private static readonly TimeSpan Spread = TimeSpan.FromSeconds(5);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Budget_LoweredThenRaised_IsInForceOnAllNodesWithWhatWasUsed()
    {
        await using var world = await FaultWorld.StartAsync();
        var tenant = await world.AddTenantAsync(Budget(Before));
        Assert.Equal("1111", await SendAsync(world, tenant, 0, 1, 2, 0));

        await ChangeAsync(world, tenant, Budget(Lowered));
        Assert.Equal("11000", await SendAsync(world, tenant, 1, 2, 0, 1, 2));

        // Below what was used: no node serves it, and none has forgotten it when the limit is raised.
        await ChangeAsync(world, tenant, Budget(2));
        Assert.Equal("000", await SendAsync(world, tenant, 0, 1, 2));
        await ChangeAsync(world, tenant, Budget(Lowered + 1));
        Assert.Equal("1000", await SendAsync(world, tenant, 2, 0, 1, 2));
    }

    [Fact]
    public async Task Rate_Lowered_IsInForceOnAllNodesWithWhatWasUsed()
    {
        await using var world = await FaultWorld.StartAsync();
        var tenant = await world.AddTenantAsync(Rate(Before));
        var since = TimeProvider.System.GetTimestamp();
        Assert.Equal("1111", await SendAsync(world, tenant, 0, 1, 2, 0));
        await ChangeAsync(world, tenant, Rate(Lowered));
        var served = (await SendAsync(world, tenant, 1, 2, 0, 1, 2, 0, 1, 2, 0)).Count(one => one == '1');
        // What has refilled at most, at the higher rate.
        var refilled = (int)Math.Ceiling(TimeProvider.System.GetElapsedTime(since).TotalMinutes * Before);
        Assert.InRange(served, Lowered - 4, Lowered - 4 + refilled);
    }

    private static string Budget(int calls) =>
        string.Create(CultureInfo.InvariantCulture, $$"""{"usd_per_month":{{calls * FaultWorld.Cost}}}""");

    private static string Rate(int calls) => string.Create(CultureInfo.InvariantCulture, $$"""{"requests_per_minute":{{calls}}}""");

    private static async Task ChangeAsync(FaultWorld world, FaultTenant tenant, string limits)
    {
        await world.ChangeAsync(tenant, limits);
        await Task.Delay(Spread, TimeProvider.System, Cancel);
    }

    /// <summary>Sends one call to each of the nodes, one after another.</summary>
    /// <returns>For each, 1 if it was served, and 0 if its limit refused it.</returns>
    private static async Task<string> SendAsync(FaultWorld world, FaultTenant tenant, params int[] nodes)
    {
        var served = new StringBuilder();
        for (var i = 0; i < nodes.Length; i++)
        {
            var (status, text) = await FaultWorld.CallAsync(world.NodeOf(nodes[i])!, tenant, seed: i);
            Assert.True(status is HttpStatusCode.OK or HttpStatusCode.TooManyRequests, text);
            served.Append(status == HttpStatusCode.OK ? '1' : '0');
        }
        return served.ToString();
    }
}

using System.Net;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>
/// Budgets of real programs: parallel calls that each cost exactly their worst case, on one program with SQLite and on three that share
/// PostgreSQL, also when one is killed.
/// </summary>
public sealed class BudgetProcessTests : IAsyncLifetime
{
    /// <summary>Calls that the budget pays for.</summary>
    private const int Paid = 100;

    private const int Calls = 1000;

    /// <summary>After the last call, until nothing is reserved. The goal is a second, which a machine that runs other tests may miss.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(IsFull ? 1 : 10);

    /// <summary>After the spool of a killed process was replayed or its lease written off, until nothing is reserved. The goal is five seconds.</summary>
    private static readonly TimeSpan ReleaseTime = TimeSpan.FromSeconds(IsFull ? 5 : 20);

    private BudgetServers _servers = null!;

    private static bool IsFull => Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _servers = await BudgetServers.CreateAsync();

    public ValueTask DisposeAsync() => _servers.DisposeAsync();

    [Fact]
    public async Task Budget_ParallelCallsOfOneProcess_PaysForExactlyItsCalls()
    {
        var server = await _servers.ServeAsync("one");
        var (key, organization) = await BudgetServers.MakeKeyAsync(server, "0.01");
        var served = await SendAsync([server], key, Calls);
        Assert.Equal(Paid, served);
        await CheckAsync(server, organization);

        // What was used is known after a kill.
        await server.KillAsync();
        server = await _servers.ServeAsync("one");
        Assert.Equal(0, await SendAsync([server], key, 10));
        await CheckAsync(server, organization);
    }

    [Fact]
    public async Task Budget_ParallelCallsOfThreeProcesses_PaysForExactlyItsCalls()
    {
        await _servers.DisposeAsync();
        _servers = await BudgetServers.CreateAsync(onPostgres: true);
        ServerProcess[] servers = [await _servers.ServeAsync("a"), await _servers.ServeAsync("b"), await _servers.ServeAsync("c")];
        var (key, organization) = await BudgetServers.MakeKeyAsync(servers[0], "0.01");
        foreach (var server in servers) await BudgetServers.KnowsAsync(server, key);
        var served = await SendAsync(servers, key, Calls);
        // Calls that are refused because another process holds the rest for a moment are sent again until all agree.
        for (var i = 0; i < 20 && served < Paid; i++) served += await SendAsync(servers, key, 12);
        Assert.Equal(Paid, served);
        await CheckAsync(servers[1], organization);
    }

    [Fact]
    public async Task Budget_ProcessKilledAmongCalls_IsNotExceeded()
    {
        var server = await _servers.ServeAsync("killed");
        var (key, organization) = await BudgetServers.MakeKeyAsync(server, "0.01");
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _servers.Upstream.Answer = context =>
        {
            if (_servers.Upstream.Received.Count >= Paid / 2) reached.TrySetResult();
            return FakeUpstream.Json(context, BudgetServers.Response);
        };
        var before = SendAsync([server], key, 200, isKilled: true);
        await reached.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        await server.KillAsync();
        var served = await before;

        server = await _servers.ServeAsync("killed");
        // It replays its spool as soon as it runs.
        await ReleasedAsync(server, organization, ReleaseTime);
        served += await SendAsync([server], key, 300);
        // A call that was killed may have been charged without being seen.
        Assert.InRange(served, Paid / 2 - 64, Paid);
        Assert.InRange(_servers.Upstream.Received.Count, served, Paid + 64);
        var limit = await BudgetServers.LimitAsync(server, organization);
        Assert.True(limit.GetProperty("used").GetDecimal() <= 0.01m, limit.GetRawText());
        Assert.Equal(0, limit.GetProperty("reserved").GetDecimal());
    }

    [Fact]
    public async Task Budget_ProcessKilledForGood_IsWrittenOffAndReleased()
    {
        Assert.SkipUnless(IsFull, "It waits for half a minute.");
        await _servers.DisposeAsync();
        _servers = await BudgetServers.CreateAsync(onPostgres: true);
        const string Configuration = "limits: { writeOffAfter: 30s }";
        ServerProcess[] servers = [await _servers.ServeAsync("killed", Configuration), await _servers.ServeAsync("left", Configuration)];
        var (key, organization) = await BudgetServers.MakeKeyAsync(servers[0], "0.01");
        foreach (var server in servers) await BudgetServers.KnowsAsync(server, key);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _servers.Upstream.Answer = context =>
        {
            if (_servers.Upstream.Received.Count >= Paid / 4) reached.TrySetResult();
            return FakeUpstream.Json(context, BudgetServers.Response);
        };
        var before = SendAsync([servers[0]], key, 200, isKilled: true);
        await reached.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        await servers[0].KillAsync();
        var served = await before;
        await ReleasedAsync(servers[1], organization, TimeSpan.FromSeconds(30) + ReleaseTime);
        // What the killed process held counts as used: never above the budget.
        served += await SendAsync([servers[1]], key, 300);
        Assert.InRange(served, Paid / 4, Paid);
        var limit = await BudgetServers.LimitAsync(servers[1], organization);
        Assert.True(limit.GetProperty("used").GetDecimal() <= 0.01m, limit.GetRawText());
    }

    /// <summary>Waits until nothing is reserved.</summary>
    private static async Task ReleasedAsync(ServerProcess server, string organization, TimeSpan within)
    {
        var since = TimeProvider.System.GetTimestamp();
        while ((await BudgetServers.LimitAsync(server, organization)).GetProperty("reserved").GetDecimal() > 0)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(since) < within, $"Something is still reserved after {within}.");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
        }
    }

    /// <summary>All is used, and nothing is reserved any more.</summary>
    private static async Task CheckAsync(ServerProcess server, string organization)
    {
        var since = TimeProvider.System.GetTimestamp();
        var limit = await BudgetServers.LimitAsync(server, organization);
        while ((limit.GetProperty("reserved").GetDecimal() > 0 || limit.GetProperty("used").GetDecimal() < 0.01m) && TimeProvider.System.GetElapsedTime(since) < Patience)
        {
            // The slices of other processes are settled when their calls are in the ledger.
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
            limit = await BudgetServers.LimitAsync(server, organization);
        }
        Assert.Equal((0.01m, 0m, 0m), (limit.GetProperty("used").GetDecimal(), limit.GetProperty("reserved").GetDecimal(), limit.GetProperty("remaining").GetDecimal()));
    }

    /// <summary>Sends calls in parallel, in turn to the servers, and returns how many were served. The others were refused by the budget, or killed.</summary>
    private static async Task<int> SendAsync(ServerProcess[] servers, string key, int calls, bool isKilled = false)
    {
        var served = 0;
        await Parallel.ForAsync(0, calls, new ParallelOptions { MaxDegreeOfParallelism = 64, CancellationToken = Cancel }, async (i, cancel) =>
        {
            var server = servers[i % servers.Length];
            try
            {
                using var response = await server.Client.PostJsonAsync(server.Address + "/v1/chat/completions", BudgetServers.Call, [("Authorization", $"Bearer {key}")]);
                if (response.StatusCode == HttpStatusCode.OK) Interlocked.Increment(ref served);
                else Assert.Contains("insufficient_quota", await response.Content.ReadAsStringAsync(cancel), StringComparison.Ordinal);
            }
            catch (HttpRequestException) when (isKilled)
            {
                // Killed.
            }
        });
        return served;
    }
}

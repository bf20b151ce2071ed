using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>The money of accepted jobs while the programs that accepted and ran them are killed and started again.</summary>
public sealed class JobHoldTests
{
    /// <summary>Three jobs, each at its worst case.</summary>
    private const string Budget = "0.0003";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>One job was running when its process died, and two were waiting. No other call gets their money.</summary>
    [Fact]
    public async Task Kill_JobsWaitAndRun_HoldsTheirMoneyUntilTheyEnd()
    {
        await using var servers = await BudgetServers.CreateAsync();
        var (release, started) = (NewSource(), NewSource());
        servers.Upstream.Answer = async context =>
        {
            started.TrySetResult();
            await release.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.Json(context, BudgetServers.Response);
        };
        var server = await servers.ServeAsync("one", "jobs: { workers: 1 }");
        var (key, organization) = await BudgetServers.MakeKeyAsync(server, Budget);
        string[] jobs = [await AcceptAsync(server, key), await AcceptAsync(server, key), await AcceptAsync(server, key)];
        await started.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        Assert.False(await IsServedAsync(server, key));

        await server.KillAsync();
        started = NewSource();
        server = await servers.ServeAsync("one", "jobs: { workers: 1 }");
        for (var i = 0; i < 20; i++) Assert.False(await IsServedAsync(server, key));
        await started.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        await HasAsync(server, organization, 0, 0.0003m);
        for (var i = 0; i < 20; i++) Assert.False(await IsServedAsync(server, key));
        Assert.Equal(0.0003m, (await BudgetServers.ReadAsync(server, "usage?group_by=day,key")).GetProperty("data").EnumerateArray().Sum(row => row.GetProperty("reserved_usd").GetDecimal()));

        // What a cancelled job held is free, once.
        await CancelAsync(server, key, jobs[2]);
        release.SetResult();
        while (!await IsServedAsync(server, key)) await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
        Assert.False(await IsServedAsync(server, key));
        foreach (var job in jobs[..2]) Assert.Equal("incomplete", await EndAsync(server, key, job));
        await HasAsync(server, organization, 0.0003m, 0);
    }

    /// <summary>A waiting job outlives its process, is held on all nodes, and another node runs it with the money that it holds.</summary>
    [Fact]
    public async Task Kill_SeveralNodes_HoldTheMoneyOfJobsOfEach()
    {
        await using var servers = await BudgetServers.CreateAsync(onPostgres: true);
        const string Accepts = "jobs: { workers: 0, lease: 2s }";
        var first = await servers.ServeAsync("a", Accepts);
        var (key, organization) = await BudgetServers.MakeKeyAsync(first, Budget);
        var second = await servers.ServeAsync("b", Accepts);
        await BudgetServers.KnowsAsync(second, key);
        string[] jobs = [await AcceptAsync(first, key), await AcceptAsync(first, key), await AcceptAsync(second, key)];
        Assert.False(await IsServedAsync(second, key));

        await first.KillAsync();
        Assert.False(await IsServedAsync(second, key));
        first = await servers.ServeAsync("a", Accepts);
        for (var i = 0; i < 5; i++) Assert.False(await IsServedAsync(i % 2 == 0 ? first : second, key));
        await HasAsync(second, organization, 0, 0.0003m);
        // Ends in order: its leases are returned, and its job is held nevertheless.
        Assert.Equal(0, await second.TerminateAsync());
        Assert.False(await IsServedAsync(first, key));
        await HasAsync(first, organization, 0, 0.0003m);

        var third = await servers.ServeAsync("c", "jobs: { workers: 4, lease: 2s }");
        foreach (var job in jobs) Assert.Equal("incomplete", await EndAsync(third, key, job));
        await HasAsync(first, organization, 0.0003m, 0);
        Assert.False(await IsServedAsync(third, key));
        Assert.Equal(3, servers.Upstream.Received.Count);
    }

    /// <summary>
    /// The database commits that a process has the hold of a job, and is unavailable before it says so. When it is back, the job runs with
    /// that money, and nobody holds it a second time.
    /// </summary>
    [Fact]
    public async Task Hold_CommitStaysUnknown_IsHeldOnce()
    {
        LossyPostgres? database = null;
        await using var servers = await BudgetServers.CreateAsync(onPostgres: true, direct => (database = new LossyPostgres(direct)).ConnectionString);
        await using var _ = database!;
        var server = await servers.ServeAsync("a", "jobs: { workers: 0, lease: 2s }");
        var (key, organization) = await BudgetServers.MakeKeyAsync(server, "0.0002");
        var job = await AcceptAsync(server, key);
        await server.KillAsync();

        var lost = database!.LoseAsync("UPDATE generations SET hold_state = 1", closes: true);
        server = await servers.ServeAsync("a", "jobs: { workers: 1, lease: 2s }");
        await lost;
        // Repeated lines of an outage are omitted from the log, perhaps this one.
        var reported = server.LineAsync(line => line.Contains("UnknownCommitException", StringComparison.Ordinal));
        await Task.WhenAny(reported, Task.Delay(TimeSpan.FromSeconds(10), TimeProvider.System, Cancel));
        database.Open();
        // Its connections are repaired.
        while (await StatusAsync(server, key, job) != HttpStatusCode.OK) await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        Assert.Equal("incomplete", await EndAsync(server, key, job));
        await HasAsync(server, organization, 0.0001m, 0);
        Assert.True(await IsServedAsync(server, key));
        Assert.False(await IsServedAsync(server, key));
        await HasAsync(server, organization, 0.0002m, 0);
        Assert.Equal(2, servers.Upstream.Received.Count);
    }

    private static async Task<string> AcceptAsync(ServerProcess server, string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, server.Address + "/v1/chat/completions") { Content = new StringContent(BudgetServers.Call, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", key);
        request.Headers.Add("Prefer", "respond-async");
        using var response = await server.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, text);
        return JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!;
    }

    private static async Task<HttpStatusCode> StatusAsync(ServerProcess server, string key, string id)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{server.Address}/v2/generations/{id}");
        request.Headers.Authorization = new("Bearer", key);
        using var response = await server.Client.SendAsync(request, Cancel);
        return response.StatusCode;
    }

    private static async Task CancelAsync(ServerProcess server, string key, string id)
    {
        using var response = await server.Client.PostJsonAsync($"{server.Address}/v2/generations/{id}/cancel", "", [("Authorization", $"Bearer {key}")]);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancel));
    }

    /// <summary>Whether a call is served now; otherwise its budget refuses it.</summary>
    private static async Task<bool> IsServedAsync(ServerProcess server, string key)
    {
        using var response = await server.Client.PostJsonAsync(server.Address + "/v1/chat/completions", BudgetServers.Call, [("Authorization", $"Bearer {key}")]);
        if (response.StatusCode == HttpStatusCode.OK) return true;
        Assert.Contains("insufficient_quota", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        return false;
    }

    private static async Task<string> EndAsync(ServerProcess server, string key, string id)
    {
        while (true)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"{server.Address}/v2/generations/{id}?wait=30");
            request.Headers.Authorization = new("Bearer", key);
            using var response = await server.Client.SendAsync(request, Cancel);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.IsSuccessStatusCode, text);
            var status = JsonDocument.Parse(text).RootElement.GetProperty("status").GetString()!;
            if (status is not ("queued" or "in_progress")) return status;
        }
    }

    /// <summary>Waits until the budget has these amounts: those of a killed process are known when its spool was replayed.</summary>
    private static async Task HasAsync(ServerProcess server, string organization, decimal used, decimal reserved)
    {
        JsonElement limit = default;
        for (var i = 0; i < 300; i++)
        {
            limit = await BudgetServers.LimitAsync(server, organization);
            if (limit.GetProperty("used").GetDecimal() == used && limit.GetProperty("reserved").GetDecimal() == reserved) return;
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
        }
        Assert.Fail(limit.GetRawText());
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

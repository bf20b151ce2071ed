using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>
/// Budgets of real programs: parallel calls that each cost exactly their worst case, on one program with SQLite and on three that share
/// PostgreSQL, also when one is killed.
/// </summary>
public sealed class BudgetProcessTests : IAsyncLifetime
{
    private const string AdminKey = "administration-of-budgets-0001";

    /// <summary>Calls that the budget pays for.</summary>
    private const int Paid = 100;

    // Input is free and the output is what was asked for, so every call costs 0.0001 dollars.
    private const string Call = """{"model":"b","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-budget").FullName;
    private readonly List<ServerProcess> _servers = [];
    private FakeUpstream _upstream = null!;
    private string? _postgres;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context => FakeUpstream.Json(context, Response);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers) await server.DisposeAsync();
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
    }

    private const string Response = """
        {"id":"c","object":"chat.completion","created":1700000000,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"length"}],
         "usage":{"prompt_tokens":8,"completion_tokens":10,"total_tokens":18}}
        """;

    [Fact]
    public async Task Budget_ParallelCallsOfOneProcess_PaysForExactlyItsCalls()
    {
        var server = await ServeAsync("one");
        var (key, organization) = await MakeKeyAsync(server);
        var served = await SendAsync([server], key, 400);
        Assert.Equal(Paid, served);
        await CheckAsync(server, organization);

        // What was used is known after a kill.
        await server.KillAsync();
        server = await ServeAsync("one");
        Assert.Equal(0, await SendAsync([server], key, 10));
        await CheckAsync(server, organization);
    }

    [Fact]
    public async Task Budget_ParallelCallsOfThreeProcesses_PaysForExactlyItsCalls()
    {
        _postgres = TestPostgres.CreateDatabase();
        ServerProcess[] servers = [await ServeAsync("a"), await ServeAsync("b"), await ServeAsync("c")];
        var (key, organization) = await MakeKeyAsync(servers[0]);
        foreach (var server in servers) await KnowsAsync(server, key);
        var served = await SendAsync(servers, key, 400);
        // Calls that are refused because another process holds the rest for a moment are sent again until all agree.
        for (var i = 0; i < 20 && served < Paid; i++) served += await SendAsync(servers, key, 12);
        Assert.Equal(Paid, served);
        await CheckAsync(servers[1], organization);
    }

    [Fact]
    public async Task Budget_ProcessKilledAmongCalls_IsNotExceeded()
    {
        var server = await ServeAsync("killed");
        var (key, organization) = await MakeKeyAsync(server);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = context =>
        {
            if (_upstream.Received.Count >= Paid / 2) reached.TrySetResult();
            return FakeUpstream.Json(context, Response);
        };
        var before = SendAsync([server], key, 200, isKilled: true);
        await reached.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        await server.KillAsync();
        var served = await before;

        server = await ServeAsync("killed");
        served += await SendAsync([server], key, 300);
        // A call that was killed may have been charged without being seen.
        Assert.InRange(served, Paid / 2 - 64, Paid);
        Assert.InRange(_upstream.Received.Count, served, Paid + 64);
        var limit = await LimitAsync(server, organization);
        Assert.True(limit.GetProperty("used").GetDecimal() <= 0.01m, limit.GetRawText());
        Assert.Equal(0, limit.GetProperty("reserved").GetDecimal());
    }

    /// <summary>All is used, and nothing is reserved any more.</summary>
    private static async Task CheckAsync(ServerProcess server, string organization)
    {
        var limit = await LimitAsync(server, organization);
        for (var i = 0; i < 50 && limit.GetProperty("reserved").GetDecimal() > 0; i++)
        {
            // The slices of other processes are settled when their calls are in the ledger.
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
            limit = await LimitAsync(server, organization);
        }
        Assert.Equal((0.01m, 0m, 0m), (limit.GetProperty("used").GetDecimal(), limit.GetProperty("reserved").GetDecimal(), limit.GetProperty("remaining").GetDecimal()));
    }

    private static async Task<JsonElement> LimitAsync(ServerProcess server, string organization)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{server.Address}/admin/v1/limits?organization_id={organization}");
        request.Headers.Authorization = new("Bearer", AdminKey);
        using var response = await server.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        return Assert.Single(JsonDocument.Parse(text).RootElement.GetProperty("data").EnumerateArray());
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
                using var response = await server.Client.PostJsonAsync(server.Address + "/v1/chat/completions", Call, [("Authorization", $"Bearer {key}")]);
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

    private static async Task<(string Key, string Organization)> MakeKeyAsync(ServerProcess server)
    {
        var organization = await AdminAsync(server, "organizations", """{"name":"budget","limits":{"usd_per_month":0.01}}""");
        var project = await AdminAsync(server, "projects", $$"""{"name":"budget","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await AdminAsync(server, "keys", $$"""{"name":"budget","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        return (key.GetProperty("secret").GetString()!, organization.GetProperty("id").GetString()!);
    }

    // A process reads new keys within two seconds.
    private static async Task KnowsAsync(ServerProcess server, string key)
    {
        while (true)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, server.Address + "/v1/models");
            request.Headers.Authorization = new("Bearer", key);
            using var response = await server.Client.SendAsync(request, Cancel);
            if (response.IsSuccessStatusCode) return;
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
        }
    }

    private static async Task<JsonElement> AdminAsync(ServerProcess server, string resource, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{server.Address}/admin/v1/{resource}") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", AdminKey);
        using var response = await server.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.Created, text);
        return JsonDocument.Parse(text).RootElement;
    }

    private async Task<ServerProcess> ServeAsync(string name)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), $$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: a }
              models:
                b: { contextWindow: 8000, maxOutputTokens: 100, prices: { input: 0, output: 10 }, capabilities: { tools: false }, deployments: [{ provider: up, model: x }] }
            """, Cancel);
        (string, string)[] environment = _postgres is null
            ? [("FAIRLEAD_ADMIN_KEY", AdminKey)] : [("FAIRLEAD_ADMIN_KEY", AdminKey), ("Fairlead__Storage__ConnectionString", _postgres)];
        var server = await ServerProcess.ServeAsync(folder, environment);
        _servers.Add(server);
        return server;
    }
}

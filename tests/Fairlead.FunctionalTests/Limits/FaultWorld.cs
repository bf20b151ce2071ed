using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using StackExchange.Redis;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>An organization of a test, with a key.</summary>
/// <param name="Key">Its secret.</param>
/// <param name="Id">Of the organization.</param>
internal sealed record FaultTenant(string Key, string Id);

/// <summary>
/// Three real programs that share a PostgreSQL and a Redis of their own, which a test stops and starts, and one upstream. A call costs exactly
/// its worst case, 0.0001 dollars.
/// </summary>
internal sealed class FaultWorld : IAsyncDisposable
{
    public const decimal Cost = 0.0001m;

    private const string Response = """
        {"id":"c","object":"chat.completion","created":1700000000,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"length"}],
         "usage":{"prompt_tokens":8,"completion_tokens":10,"total_tokens":18}}
        """;

    private static readonly string[] Names = ["a", "b", "c"];

    /// <summary>How long a node may take to heal. A starved machine takes longer than the seconds that it needs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-faults").FullName;
    private readonly List<ServerProcess> _started = [];
    private readonly ServerProcess?[] _nodes = new ServerProcess?[Names.Length];
    private readonly int[] _kills = new int[Names.Length];
    private int _databaseFaults;

    private FaultWorld(FakeUpstream upstream) => Upstream = upstream;

    public FakeUpstream Upstream { get; }

    public PrivatePostgres Postgres { get; } = PrivatePostgres.Start();

    public PrivateRedis Redis { get; } = PrivateRedis.Start();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static async Task<FaultWorld> StartAsync()
    {
        var world = new FaultWorld(await FakeUpstream.StartAsync(context => FakeUpstream.Json(context, Response)));
        try
        {
            for (var i = 0; i < Names.Length; i++) await world.StartAsync(i);
            foreach (var node in world._nodes)
            {
                // Every one learns with its next heartbeat how many there are.
                while (!Regex.IsMatch(await node!.TextAsync("/metrics"), @"(?m)^fairlead_redis_nodes\S* 3( |$)"))
                    await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
            }
            return world;
        }
        catch
        {
            await world.DisposeAsync();
            throw;
        }
    }

    public static int Count => Names.Length;

    /// <summary>The program; null while it is not running.</summary>
    public ServerProcess? NodeOf(int i) => Volatile.Read(ref _nodes[i]);

    /// <summary>Changes when a node is killed.</summary>
    public int KillsOf(int i) => Volatile.Read(ref _kills[i]);

    /// <summary>Odd from before PostgreSQL stops until all nodes have healed.</summary>
    public int DatabaseFaults => Volatile.Read(ref _databaseFaults);

    public void StopPostgres()
    {
        Interlocked.Increment(ref _databaseFaults);
        Postgres.Stop();
    }

    /// <summary>Starts it again, and waits until all nodes serve calls with a budget.</summary>
    public async Task ResumePostgresAsync(FaultTenant tenant)
    {
        Postgres.Resume();
        await HealedAsync(tenant);
        Interlocked.Increment(ref _databaseFaults);
    }

    public async Task FlushRedisAsync()
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync(Redis.Words + ",allowAdmin=true");
        await redis.GetServer("127.0.0.1", Redis.Port).FlushAllDatabasesAsync();
    }

    public async Task KillAsync(int i)
    {
        Interlocked.Increment(ref _kills[i]);
        var node = _nodes[i]!;
        Volatile.Write(ref _nodes[i], null);
        await node.KillAsync();
    }

    public async Task StartAsync(int i)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, Names[i])).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), $$"""
            fairlead:
              redis: { connectionString: "${FAULT_REDIS}" }
              limits: { onStoreFailure: local }
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                up: { kind: openai, baseUrl: {{Upstream.Url}}/v1, apiKey: a }
              models:
                b: { contextWindow: 8000, maxOutputTokens: 100, prices: { input: 0, output: 10 }, capabilities: { tools: false }, deployments: [{ provider: up, model: x }] }
            """, Cancel);
        var node = await ServerProcess.ServeAsync(
            folder, ("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), ("Fairlead__Storage__ConnectionString", Postgres.ConnectionString), ("FAULT_REDIS", Redis.ConnectionString));
        _started.Add(node);
        Volatile.Write(ref _nodes[i], node);
    }

    /// <summary>Waits until all programs are ready, use Redis, and serve a call of the tenant.</summary>
    public async Task HealedAsync(FaultTenant tenant)
    {
        var since = TimeProvider.System.GetTimestamp();
        for (var i = 0; i < Count; i++)
        {
            while (true)
            {
                var (status, text) = await ReadyAsync(_nodes[i]!);
                var answer = "";
                if (status == HttpStatusCode.OK && text.Contains("[+] redis: ok", StringComparison.Ordinal))
                {
                    (status, answer) = await CallAsync(_nodes[i]!, tenant, seed: 0);
                    if (status == HttpStatusCode.OK) break;
                }
                if (TimeProvider.System.GetElapsedTime(since) > Patience) Assert.Fail($"Node {Names[i]} has not healed: {(int)status} {text} {answer}\n{_nodes[i]!.Output}");
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
            }
        }
    }

    /// <summary>One call. Its seed is in its audit record, and 0 is that of all calls that only ask whether a node has healed.</summary>
    public static async Task<(HttpStatusCode Status, string Text)> CallAsync(ServerProcess node, FaultTenant tenant, long seed)
    {
        var body = $$"""{"model":"b","max_tokens":10,"seed":{{seed}},"messages":[{"role":"user","content":"hi"}]}""";
        using var response = await node.Client.PostJsonAsync(node.Address + "/v1/chat/completions", body, [("Authorization", $"Bearer {tenant.Key}")]);
        return (response.StatusCode, await response.Content.ReadAsStringAsync(Cancel));
    }

    /// <summary>An organization with limits, which all nodes know.</summary>
    public async Task<FaultTenant> AddTenantAsync(string limits)
    {
        var organization = await AdminAsync("organizations", $$"""{"name":"faults","limits":{{limits}}}""");
        var project = await AdminAsync("projects", $$"""{"name":"faults","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await AdminAsync("keys", $$"""{"name":"faults","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        var tenant = new FaultTenant(key.GetProperty("secret").GetString()!, organization.GetProperty("id").GetString()!);
        foreach (var node in _nodes) await BudgetServers.KnowsAsync(node!, tenant.Key);
        return tenant;
    }

    /// <summary>Gives the organization other limits.</summary>
    public Task ChangeAsync(FaultTenant tenant, string limits) => AdminAsync("organizations/" + tenant.Id, $$"""{"limits":{{limits}}}""", HttpMethod.Patch);

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _started) await node.DisposeAsync();
        await Upstream.DisposeAsync();
        Redis.Dispose();
        Postgres.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static async Task<(HttpStatusCode Status, string Text)> ReadyAsync(ServerProcess node)
    {
        using var response = await node.GetAsync("/readyz?verbose");
        return (response.StatusCode, await response.Content.ReadAsStringAsync(Cancel));
    }

    private async Task<JsonElement> AdminAsync(string resource, string body, HttpMethod? method = null)
    {
        var node = _nodes[0]!;
        using var request = new HttpRequestMessage(method ?? HttpMethod.Post, $"{node.Address}/admin/v1/{resource}") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", TestGateway.AdminKey);
        using var response = await node.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement.Clone();
    }
}

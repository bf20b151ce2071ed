using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>
/// Real programs with one database, and an organization with a budget of money. Each has a folder of its own; all use one upstream, where a
/// call of <see cref="Call"/> costs exactly its worst case.
/// </summary>
internal sealed class BudgetServers : IAsyncDisposable
{
    // Input is free and the output is what was asked for, so every call costs 0.0001 dollars.
    public const string Call = """{"model":"b","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}""";

    public const string Response = """
        {"id":"c","object":"chat.completion","created":1700000000,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"length"}],
         "usage":{"prompt_tokens":8,"completion_tokens":10,"total_tokens":18}}
        """;

    private const string AdminKey = TestGateway.AdminKey;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-budget").FullName;
    private readonly List<ServerProcess> _servers = [];
    private readonly string? _postgres;
    private readonly string? _connection;

    private BudgetServers(FakeUpstream upstream, string? postgres, string? connection) => (Upstream, _postgres, _connection) = (upstream, postgres, connection);

    public FakeUpstream Upstream { get; }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Prepares them.</summary>
    /// <param name="onPostgres">Otherwise each has its SQLite.</param>
    /// <param name="way">Makes the connection string that they use of the direct one.</param>
    public static async Task<BudgetServers> CreateAsync(bool onPostgres = false, Func<string, string>? way = null)
    {
        var upstream = await FakeUpstream.StartAsync();
        upstream.Answer = context => FakeUpstream.Json(context, Response);
        var postgres = onPostgres ? TestPostgres.CreateDatabase() : null;
        return new BudgetServers(upstream, postgres, postgres is null || way is null ? postgres : way(postgres));
    }

    /// <summary>Starts a program in the folder of this name, with further lines of configuration.</summary>
    public async Task<ServerProcess> ServeAsync(string name, string configuration = "")
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), $$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              {{configuration}}
              providers:
                up: { kind: openai, baseUrl: {{Upstream.Url}}/v1, apiKey: a }
              models:
                b: { contextWindow: 8000, maxOutputTokens: 100, prices: { input: 0, output: 10 }, capabilities: { tools: false }, deployments: [{ provider: up, model: x }] }
            """, Cancel);
        (string, string)[] environment = _connection is null
            ? [("FAIRLEAD_ADMIN_KEY", AdminKey)] : [("FAIRLEAD_ADMIN_KEY", AdminKey), ("Fairlead__Storage__ConnectionString", _connection)];
        var server = await ServerProcess.ServeAsync(folder, environment);
        _servers.Add(server);
        return server;
    }

    public static async Task<(string Key, string Organization)> MakeKeyAsync(ServerProcess server, string usd)
    {
        var organization = await AdminAsync(server, "organizations", $$$"""{"name":"budget","limits":{"usd_per_month":{{{usd}}}}}""");
        var project = await AdminAsync(server, "projects", $$"""{"name":"budget","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await AdminAsync(server, "keys", $$"""{"name":"budget","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        return (key.GetProperty("secret").GetString()!, organization.GetProperty("id").GetString()!);
    }

    // A process reads new keys within two seconds.
    public static async Task KnowsAsync(ServerProcess server, string key)
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

    /// <summary>The budget of the organization: used, reserved and remaining dollars.</summary>
    public static async Task<JsonElement> LimitAsync(ServerProcess server, string organization)
    {
        var text = await ReadAsync(server, "limits?organization_id=" + organization);
        return Assert.Single(text.GetProperty("data").EnumerateArray());
    }

    /// <summary>Reads an address of the admin API.</summary>
    public static async Task<JsonElement> ReadAsync(ServerProcess server, string address)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{server.Address}/admin/v1/{address}");
        request.Headers.Authorization = new("Bearer", AdminKey);
        using var response = await server.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        return JsonDocument.Parse(text).RootElement;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers) await server.DisposeAsync();
        await Upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
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
}

using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using StackExchange.Redis;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>Rates and concurrency of three real programs that share PostgreSQL and Redis, while Redis or a program dies.</summary>
public sealed class RedisProcessTests : IAsyncLifetime
{
    private const string AdminKey = "administration-of-rates-0001";

    /// <summary>Requests per minute. The bucket is full at first.</summary>
    private const int Rate = 120;

    private const string Call = """{"model":"b","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}""";

    private const string Response = """
        {"id":"c","object":"chat.completion","created":1700000000,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"length"}],
         "usage":{"prompt_tokens":8,"completion_tokens":10,"total_tokens":18}}
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-rates").FullName;
    private readonly List<ServerProcess> _servers = [];
    private readonly PrivateRedis _redis = PrivateRedis.Start();
    private string _postgres = "";
    private FakeUpstream _upstream = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _postgres = TestPostgres.CreateDatabase();
        _upstream = await FakeUpstream.StartAsync(context => FakeUpstream.Json(context, Response));
        foreach (var name in (string[])["a", "b", "c"]) _servers.Add(await ServeAsync(name));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers) await server.DisposeAsync();
        await _upstream.DisposeAsync();
        _redis.Dispose();
        Directory.Delete(_folder, recursive: true);
        TestPostgres.DropDatabase(_postgres);
    }

    [Fact]
    public async Task Rate_ThreeProcesses_IsThatOfAllTogetherAndInSharesWithoutRedis()
    {
        await KnowEachOtherAsync();
        var key = await MakeKeyAsync($$"""{"requests_per_minute":{{Rate}}}""");
        await KnowAsync(key);
        var since = TimeProvider.System.GetTimestamp();
        var outages = OutagesByServer();
        var served = await SendAsync(key, Rate * 2);
        AssertRate(served, Rate, since, outages);
        Assert.Contains("redis: ok", await _servers[0].TextAsync("/readyz?verbose"), StringComparison.Ordinal);
        await MetricAsync(_servers[0], @"(?m)^fairlead_redis_available\S* 1( |$)");

        // Each of the three serves its third of another key's rate.
        _redis.Stop();
        var other = await MakeKeyAsync($$"""{"requests_per_minute":{{Rate}}}""");
        await KnowAsync(other);
        foreach (var server in _servers)
        {
            since = TimeProvider.System.GetTimestamp();
            AssertRate(await SendAsync(other, Rate, server), Rate / 3, since, outages: null);
            await server.LineAsync(line => line.Contains("cannot be counted in Redis", StringComparison.Ordinal));
            // It gets traffic nevertheless.
            await MetricAsync(server, @"(?m)^fairlead_redis_available\S* 0( |$)");
            Assert.Contains("[~] redis: unavailable; limits are shared out among 3 known nodes", await server.TextAsync("/readyz?verbose"), StringComparison.Ordinal);
        }

        // It heals without a restart.
        _redis.Resume();
        foreach (var server in _servers) await HealedAsync(server);
        var third = await MakeKeyAsync($$"""{"requests_per_minute":{{Rate}}}""");
        await KnowAsync(third);
        since = TimeProvider.System.GetTimestamp();
        outages = OutagesByServer();
        AssertRate(await SendAsync(third, Rate * 2), Rate, since, outages);
    }

    [Fact]
    public async Task Concurrency_FlushedRedisAndKilledProcess_IsRestoredAndExpires()
    {
        await KnowEachOtherAsync();
        var key = await MakeKeyAsync("""{"concurrent_generations":2}""");
        await KnowAsync(key);
        var arrived = new SemaphoreSlim(0);
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            arrived.Release();
            await release.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.Json(context, Response);
        };
        var held = new[] { StatusAsync(_servers[0], key), StatusAsync(_servers[0], key) };
        for (var i = 0; i < held.Length; i++) await arrived.WaitAsync(Cancel);
        Assert.Equal(HttpStatusCode.TooManyRequests, await StatusAsync(_servers[1], key));

        // Redis forgets everything, and the first server shows within a heartbeat what it holds.
        await using (var redis = await ConnectionMultiplexer.ConnectAsync(_redis.Words + ",allowAdmin=true"))
        {
            await redis.GetServer("127.0.0.1", _redis.Port).FlushAllDatabasesAsync();
            while (await CountAsync(redis) < 2) await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
        }
        Assert.Equal(HttpStatusCode.TooManyRequests, await StatusAsync(_servers[2], key));

        // What a killed server held counts until its lease ends.
        await _servers[0].KillAsync();
        foreach (var call in held) Assert.Null(await call);
        Assert.Equal(HttpStatusCode.TooManyRequests, await StatusAsync(_servers[1], key));
        release.SetResult();
        while (await StatusAsync(_servers[1], key) != HttpStatusCode.OK)
            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System, Cancel);

        // After the end of all calls nothing is held.
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(_servers[2], key));
    }

    private async Task<long> CountAsync(ConnectionMultiplexer redis)
    {
        var keys = redis.GetServer("127.0.0.1", _redis.Port).KeysAsync(pattern: "fairlead:*concurrent_generations*");
        var count = 0L;
        await foreach (var key in keys.WithCancellation(Cancel)) count += await redis.GetDatabase().SortedSetLengthAsync(key);
        return count;
    }

    // Every server learns with its next heartbeat how many there are.
    private async Task KnowEachOtherAsync()
    {
        foreach (var server in _servers)
        {
            while (!Regex.IsMatch(await server.TextAsync("/metrics"), @"(?m)^fairlead_redis_nodes\S* 3( |$)"))
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
    }

    /// <summary>Waits until the metrics match: the exporter repeats a response for 300 ms.</summary>
    private static async Task MetricAsync(ServerProcess server, [StringSyntax(StringSyntaxAttribute.Regex)] string pattern)
    {
        while (!Regex.IsMatch(await server.TextAsync("/metrics"), pattern))
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
    }

    private static async Task HealedAsync(ServerProcess server)
    {
        while (!(await server.TextAsync("/readyz?verbose")).Contains("[+] redis: ok", StringComparison.Ordinal))
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
    }

    /// <summary>
    /// The full bucket is served, and at most what has refilled meanwhile. On a starved machine, Redis may respond too late for a server, which
    /// then serves its share of the limit as well, as in any outage. That is promised, and its log says so. Without such an outage the rate is
    /// exact.
    /// </summary>
    /// <param name="served">Calls that were served.</param>
    /// <param name="capacity">Of the bucket.</param>
    /// <param name="since">When the calls began.</param>
    /// <param name="outages">What <see cref="OutagesByServer"/> returned then; null if the servers count without Redis.</param>
    private void AssertRate(int served, int capacity, long since, int[]? outages)
    {
        var refilled = (int)Math.Ceiling(TimeProvider.System.GetElapsedTime(since).TotalMinutes * capacity) + 1;
        var alone = outages is null ? 0 : OutagesByServer().Zip(outages).Count(one => one.First > one.Second);
        // A share is rounded down.
        var (least, most) = (capacity - (alone * _servers.Count), capacity + refilled + (alone * (capacity / _servers.Count)));
        if (served >= least && served <= most) return;
        var log = string.Join('\n', _servers.SelectMany(server => (server.Output + server.Error).Split('\n')).Where(line => line.Contains("Redis", StringComparison.Ordinal)));
        Assert.Fail($"{served} served, but {least} to {most} expected.\n{log}");
    }

    /// <summary>How often each server has found Redis unavailable.</summary>
    private int[] OutagesByServer() =>
        [.. _servers.Select(server => Regex.Count(server.Output + server.Error, "cannot be counted in Redis"))];

    /// <summary>Sends calls in parallel, in turn to all servers or to one, and returns how many were served. The others were refused by the rate.</summary>
    private async Task<int> SendAsync(string key, int calls, ServerProcess? only = null)
    {
        var served = 0;
        await Parallel.ForAsync(0, calls, new ParallelOptions { MaxDegreeOfParallelism = 24, CancellationToken = Cancel }, async (i, cancel) =>
        {
            var server = only ?? _servers[i % _servers.Count];
            using var response = await server.Client.PostJsonAsync(server.Address + "/v1/chat/completions", Call, [("Authorization", $"Bearer {key}")]);
            var text = await response.Content.ReadAsStringAsync(cancel);
            if (response.StatusCode == HttpStatusCode.OK)
            {
                Interlocked.Increment(ref served);
                return;
            }
            Assert.True(response.StatusCode == HttpStatusCode.TooManyRequests, text);
            Assert.Contains("rate_limit_exceeded", text, StringComparison.Ordinal);
        });
        return served;
    }

    /// <summary>The status of one call; null if its server was killed.</summary>
    private static async Task<HttpStatusCode?> StatusAsync(ServerProcess server, string key)
    {
        try
        {
            using var response = await server.Client.PostJsonAsync(server.Address + "/v1/chat/completions", Call, [("Authorization", $"Bearer {key}")]);
            return response.StatusCode;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private async Task<string> MakeKeyAsync(string limits)
    {
        var organization = await AdminAsync("organizations", """{"name":"rates"}""");
        var project = await AdminAsync("projects", $$"""{"name":"rates","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await AdminAsync("keys", $$"""{"name":"rates","project_id":"{{project.GetProperty("id").GetString()}}","limits":{{limits}}}""");
        return key.GetProperty("secret").GetString()!;
    }

    // A process reads new keys within two seconds.
    private async Task KnowAsync(string key)
    {
        foreach (var server in _servers)
        {
            while (true)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, server.Address + "/v1/models");
                request.Headers.Authorization = new("Bearer", key);
                using var response = await server.Client.SendAsync(request, Cancel);
                if (response.IsSuccessStatusCode) break;
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
            }
        }
    }

    private async Task<JsonElement> AdminAsync(string resource, string body)
    {
        var server = _servers[0];
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{server.Address}/admin/v1/{resource}") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", AdminKey);
        using var response = await server.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.Created, text);
        return JsonDocument.Parse(text).RootElement.Clone();
    }

    private async Task<ServerProcess> ServeAsync(string name)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), $$"""
            fairlead:
              redis: { connectionString: "${RATES_REDIS}" }
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: a }
              models:
                b: { contextWindow: 8000, maxOutputTokens: 100, prices: { input: 0, output: 10 }, capabilities: { tools: false }, deployments: [{ provider: up, model: x }] }
            """, Cancel);
        return await ServerProcess.ServeAsync(folder, ("FAIRLEAD_ADMIN_KEY", AdminKey), ("Fairlead__Storage__ConnectionString", _postgres), ("RATES_REDIS", _redis.ConnectionString));
    }
}

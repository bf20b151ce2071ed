using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Scheduling;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>Calls that wait for a slot: served in order, refused with what a client can act on, and gone when their client is.</summary>
public sealed class SchedulingTests : IAsyncLifetime
{
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly SemaphoreSlim _release = new(0);
    private FakeUpstream _upstream = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = AnswerAsync;
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        _arrived.Dispose();
        _release.Dispose();
    }

    [Fact]
    public async Task Queue_SlotBecomesFree_ServesRealtimeFirstAndReportsTheWait()
    {
        await using var gateway = await StartAsync();
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        var standard = ChatAsync(gateway, "standard");
        await WaitingAsync(gateway, 1);
        var realtime = ChatAsync(gateway, "realtime", "realtime");
        await WaitingAsync(gateway, 2);

        _release.Release(3);
        using var first = await running;
        using var second = await realtime;
        using var third = await standard;
        Assert.Equal(["first", "realtime", "standard"], _upstream.Received.Select(UserText));
        Assert.All([first, second, third], response => Assert.Equal(HttpStatusCode.OK, response.StatusCode));
        Assert.DoesNotContain("queue;", string.Join(',', first.Headers.GetValues("Server-Timing")), StringComparison.Ordinal);
        Assert.Contains("queue;dur=", string.Join(',', third.Headers.GetValues("Server-Timing")), StringComparison.Ordinal);
        var body = await JsonAsync(third);
        Assert.True(body.GetProperty("fairlead").GetProperty("timing_ms").GetProperty("queue").GetDouble() > 0);
    }

    [Fact]
    public async Task Queue_Full_Returns429WithClassMaximumAndEstimatedWait()
    {
        await using var gateway = await StartAsync("scheduling: { maxQueued: { standard: 1 } }");
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        var waiting = ChatAsync(gateway, "second");
        await WaitingAsync(gateway, 1);
        using (var refused = await ChatAsync(gateway, "third"))
        {
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
            Assert.Equal("1", refused.Headers.GetValues("Retry-After").Single());
            var error = (await JsonAsync(refused)).GetProperty("error");
            Assert.Equal("queue_full", error.GetProperty("code").GetString());
            Assert.True(error.GetProperty("retryable").GetBoolean());
            var details = error.GetProperty("details");
            Assert.Equal(("standard", 1, 1), (details.GetProperty("class").GetString(), details.GetProperty("queued").GetInt32(), details.GetProperty("maximum").GetInt32()));
            Assert.True(details.GetProperty("estimated").GetBoolean());
            // No attempt has ended yet, so nothing is known.
            Assert.Equal(JsonValueKind.Null, details.GetProperty("expected_wait_ms").ValueKind);
        }
        _release.Release(2);
        foreach (var response in await Task.WhenAll(running, waiting)) Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(2, _upstream.Received.Count);
    }

    [Fact]
    public async Task Queue_ExpectedWaitBeyondDeadline_Returns504AtOnce()
    {
        await using var gateway = await StartAsync();
        var slots = gateway.Services.GetRequiredService<DeploymentSlots>();
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        // The estimate of the gateway, from an attempt that took ten minutes.
        slots.SetLimits([UpstreamOf(2)]);
        Assert.True(slots.TryTake(UpstreamOf(2)));
        slots.GiveBack(UpstreamOf(2), TimeSpan.FromMinutes(10));
        slots.SetLimits([UpstreamOf(1)]);

        using (var refused = await ChatAsync(gateway, "hurried", extension: ""","deadline_ms":60000"""))
        {
            Assert.Equal(HttpStatusCode.GatewayTimeout, refused.StatusCode);
            // Beyond a minute, the wait is only in the body.
            Assert.False(refused.Headers.Contains("Retry-After"));
            var error = (await JsonAsync(refused)).GetProperty("error");
            Assert.Equal("deadline_exceeded", error.GetProperty("code").GetString());
            Assert.Equal(600_000, error.GetProperty("details").GetProperty("expected_wait_ms").GetInt64());
            Assert.True(error.GetProperty("details").GetProperty("estimated").GetBoolean());
        }
        _release.Release();
        (await running).Dispose();
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task Queue_ClientLeaves_FreesItsPlace()
    {
        await using var gateway = await StartAsync("scheduling: { maxQueued: { standard: 1 } }");
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        using var leave = new CancellationTokenSource();
        var leaving = ChatAsync(gateway, "leaves", token: leave.Token);
        await WaitingAsync(gateway, 1);
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        await WaitingAsync(gateway, 0);

        var waiting = ChatAsync(gateway, "stays");
        await WaitingAsync(gateway, 1);
        _release.Release(2);
        (await running).Dispose();
        using var served = await waiting;
        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        Assert.Equal(["first", "stays"], _upstream.Received.Select(UserText));
    }

    /// <summary>A call whose attempt failed waits for its next deployment before a call of a higher class.</summary>
    [Fact]
    public async Task Failover_NextDeploymentFull_ReentersAtTheHead()
    {
        var fails = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var broken = await FakeUpstream.StartAsync(async context =>
        {
            _arrived.Release();
            await fails.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.Json(context, "{}", 500);
        });
        await using var gateway = await StartAsync(extra: $$"""
                pair: { {{Facts}}, deployments: [{ provider: broken, model: b, priority: 1, maxConcurrency: 1 }, { provider: up, model: up-m, priority: 2, maxConcurrency: 1 }] }
            """, provider: $"broken: {{ kind: openai, baseUrl: {broken.Url}/v1, apiKey: k }}");
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        var failing = ChatAsync(gateway, "failing", "bulk", model: "pair");
        await ArrivedAsync();
        var realtime = ChatAsync(gateway, "realtime", "realtime");
        await WaitingAsync(gateway, 1);
        fails.SetResult();
        await WaitingAsync(gateway, 2);
        _release.Release(3);
        foreach (var response in await Task.WhenAll(running, failing, realtime)) Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(["first", "failing", "realtime"], _upstream.Received.Select(UserText));
    }

    /// <summary>A raised limit serves those that wait.</summary>
    [Fact]
    public async Task Reload_LimitRaised_ServesWaitingCalls()
    {
        await using var gateway = await StartAsync();
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        var waiting = ChatAsync(gateway, "second");
        await WaitingAsync(gateway, 1);
        var slots = gateway.Services.GetRequiredService<DeploymentSlots>();
        slots.SetLimits([UpstreamOf(2)]);
        await ArrivedAsync();
        _release.Release(2);
        foreach (var response in await Task.WhenAll(running, waiting)) Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    /// <summary>
    /// Jobs of a full model wait in the database, so that those of other models run, also if they were all taken from the queue at once.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public async Task Jobs_ModelFull_DoNotOccupyTheWorkersOfOtherModels(int workers)
    {
        await using var gateway = await StartAsync($"jobs: {{ workers: {workers} }}");
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        var waiting = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => JobAsync(gateway, "m")));
        using var done = await gateway.Client.GetAsync(new Uri($"/v2/generations/{await JobAsync(gateway, "sim-fast")}?wait=60", UriKind.Relative), Token);
        Assert.Equal("completed", (await JsonAsync(done)).GetProperty("status").GetString());
        Assert.Single(_upstream.Received);
        var queued = await QueuedAsync(gateway, waiting);
        Assert.True(queued.GetProperty("queue").GetProperty("position").GetInt32() >= 0);
        Assert.NotEqual(JsonValueKind.Null, queued.GetProperty("queue").GetProperty("expected_start_at").ValueKind);

        _release.Release(9);
        (await running).Dispose();
        foreach (var id in waiting)
        {
            var ended = await gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
            Assert.Equal("completed", ended.GetProperty("status").GetString());
            Assert.Equal(1, ended.GetProperty("attempts").GetArrayLength());
        }
        Assert.Equal(9, _upstream.Received.Count);
        // A postponed run is not a run of its own: each job has one record, and nothing is held.
        var ledger = (InMemoryTokenLedger)gateway.Services.GetRequiredService<ITokenLedger>();
        Assert.Equal((0, 0L), (ledger.Totals().Open, ledger.Totals().HeldTokens));
    }

    /// <summary>Jobs of a key whose rate is used up go back to the queue, and the only worker runs those of others.</summary>
    [Fact]
    public async Task Jobs_RateUsedUp_DoNotOccupyTheWorkersOfOtherKeys()
    {
        await using var gateway = await StartAsync("jobs: { workers: 1 }");
        var (secret, _) = await gateway.MakeKeyAsync("\"limits\":{\"requests_per_minute\":1}");
        using var limited = gateway.MakeClient(secret);
        var jobs = new List<string>();
        for (var i = 0; i < 4; i++) jobs.Add(await JobAsync(gateway, "sim-fast", limited));
        using var done = await gateway.Client.GetAsync(new Uri($"/v2/generations/{await JobAsync(gateway, "sim-fast")}?wait=25", UriKind.Relative), Token);
        Assert.Equal("completed", (await JsonAsync(done)).GetProperty("status").GetString());
        Assert.Equal(jobs[3], (await QueuedAsync(gateway, [.. jobs[1..]])).GetProperty("id").GetString());
    }

    /// <summary>A job that waited for its rate loses no run by that, and is charged once.</summary>
    [Fact]
    public async Task Job_RateUsedUp_RunsWhenItIsFree()
    {
        await using var gateway = await StartAsync("jobs: { workers: 1, maxRuns: 1 }");
        // Two requests, and the next one after 3 s.
        var (secret, _) = await gateway.MakeKeyAsync("\"limits\":{\"requests_per_minute\":20,\"burst\":0.1}");
        using var limited = gateway.MakeClient(secret);
        var jobs = new List<string>();
        for (var i = 0; i < 3; i++) jobs.Add(await JobAsync(gateway, "sim-fast", limited));
        foreach (var id in jobs)
        {
            using var ended = await limited.GetAsync(new Uri($"/v2/generations/{id}?wait=60", UriKind.Relative), Token);
            var generation = await JsonAsync(ended);
            Assert.Equal("completed", generation.GetProperty("status").GetString());
            Assert.Equal(1, generation.GetProperty("attempts").GetArrayLength());
        }
        var ledger = (InMemoryTokenLedger)gateway.Services.GetRequiredService<ITokenLedger>();
        Assert.Equal((0, 0L), (ledger.Totals().Open, ledger.Totals().HeldTokens));
    }

    /// <summary>Only jobs that a worker took may wait without a maximum. A kept stream and a hybrid are calls like others.</summary>
    [Theory]
    [InlineData("""{"mode":"auto","wait_seconds":30}""")]
    [InlineData("""{"mode":"sync"}""")]
    public async Task Queue_FullForARunWithItsClient_Returns429(string delivery)
    {
        await using var gateway = await StartAsync("scheduling: { maxQueued: { standard: 0 } }");
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        using (var refused = await gateway.Client.PostJsonAsync("/v2/generations", $$"""{"model":"m","input":"Hi","delivery":{{delivery}}}"""))
        {
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
            Assert.Equal("queue_full", (await JsonAsync(refused)).GetProperty("code").GetString());
        }
        _release.Release();
        (await running).Dispose();
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task Queue_FullForAKeptStream_EndsTheStreamWithQueueFull()
    {
        await using var gateway = await StartAsync("scheduling: { maxQueued: { standard: 0 } }");
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        var ended = await KeptStreamAsync(gateway);
        Assert.Equal("generation.failed", ended.GetProperty("type").GetString());
        Assert.Equal("queue_full", ended.GetProperty("generation").GetProperty("error").GetProperty("code").GetString());
        _release.Release();
        (await running).Dispose();
        Assert.Single(_upstream.Received);
    }

    /// <summary>A stored generation that got no slot in time becomes a job. The run that only waited does not count.</summary>
    [Fact]
    public async Task Queue_NoSlotInTimeForAKeptStream_ContinuesAsAJob()
    {
        await using var gateway = await StartAsync("scheduling: { maxWait: 50ms }\n  jobs: { maxRuns: 1, backoff: 1ms }");
        var running = ChatAsync(gateway, "first");
        await ArrivedAsync();
        var streaming = KeptStreamAsync(gateway);
        await WaitingAsync(gateway, 1);
        // Its first run has ended, and a worker has taken the second.
        await WaitingAsync(gateway, 0);
        await WaitingAsync(gateway, 1);
        _release.Release(2);
        (await running).Dispose();
        Assert.Equal("generation.completed", (await streaming).GetProperty("type").GetString());
        Assert.Equal(2, _upstream.Received.Count);
    }

    /// <summary>The rates of a hybrid are reserved when it is accepted: it starts at once, and its client waits.</summary>
    [Fact]
    public async Task Rate_UsedUpForAHybrid_Returns429AtOnce()
    {
        await using var gateway = await StartAsync();
        var (secret, _) = await gateway.MakeKeyAsync("\"limits\":{\"requests_per_minute\":1}");
        using var limited = gateway.MakeClient(secret);
        const string request = """{"model":"sim-fast","input":"Hi","delivery":{"mode":"auto","wait_seconds":30}}""";
        using (var served = await limited.PostJsonAsync("/v2/generations", request)) Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        using var refused = await limited.PostJsonAsync("/v2/generations", request);
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.Equal("rate_limit_exceeded", (await JsonAsync(refused)).GetProperty("code").GetString());
    }

    private const string Facts = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";

    private static Fairlead.Catalogue.Deployment UpstreamOf(int slots) =>
        new() { Name = "up/up-m", ProviderName = "up", UpstreamModel = "up-m", MaxConcurrency = slots };

    /// <summary>The last event of a stored stream that continues without its client.</summary>
    private static async Task<JsonElement> KeptStreamAsync(TestGateway gateway)
    {
        using var response = await gateway.Client.PostJsonAsync(
            "/v2/generations", """{"model":"m","input":"Hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var text = await response.Content.ReadAsStringAsync(Token);
        return JsonDocument.Parse(text.Split('\n').Last(line => line.StartsWith("data: {", StringComparison.Ordinal))[6..]).RootElement;
    }

    /// <summary>One of these jobs that is in the queue; a worker may try another one at this moment.</summary>
    private static async Task<JsonElement> QueuedAsync(TestGateway gateway, string[] ids)
    {
        for (var i = 0; ; i++)
        {
            using var response = await gateway.Client.GetAsync(new Uri($"/v2/generations/{ids[^(1 + (i % ids.Length))]}", UriKind.Relative), Token);
            var generation = await JsonAsync(response);
            if (response.IsSuccessStatusCode && generation.GetProperty("status").GetString() == "queued") return generation;
        }
    }

    private static async Task<string> JobAsync(TestGateway gateway, string model, HttpClient? client = null) =>
        (await (client ?? gateway.Client).PostForJsonAsync("/v2/generations", $$$"""{"model":"{{{model}}}","input":"Hi","delivery":{"mode":"job"}}""")).GetProperty("id").GetString()!;

    private static string UserText(JsonElement request) => request.GetProperty("messages")[0].GetProperty("content").GetString()!;

    private static async Task<JsonElement> JsonAsync(HttpResponseMessage response) =>
        JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token)).RootElement;

    private static Task<HttpResponseMessage> ChatAsync(
        TestGateway gateway, string text, string? @class = null, string model = "m", string extension = "", CancellationToken? token = null)
    {
        var body = $$$"""{"model":"{{{model}}}","messages":[{"role":"user","content":"{{{text}}}"}],"fairlead":{"class":"{{{@class ?? "standard"}}}"{{{extension}}}}}""";
        return gateway.Client.PostJsonAsync("/v1/chat/completions", body, cancellationToken: token);
    }

    private static async Task WaitingAsync(TestGateway gateway, int calls)
    {
        var slots = gateway.Services.GetRequiredService<DeploymentSlots>();
        while (slots.WaitingFor("up/up-m") != calls) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
    }

    private async Task ArrivedAsync() => Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));

    private async Task AnswerAsync(HttpContext context)
    {
        _arrived.Release();
        await _release.WaitAsync(context.RequestAborted);
        await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
    }

    private Task<TestGateway> StartAsync(string settings = "", string extra = "", string provider = "") => TestGateway.StartAsync($$"""
        fairlead:
          {{settings}}
          providers:
            up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
            sim: { kind: simulated }
            {{provider}}
          retry: { maxRetries: 0 }
          models:
            m: { {{Facts}}, deployments: [{ provider: up, model: up-m, maxConcurrency: 1 }] }
        {{extra}}
        """);
}

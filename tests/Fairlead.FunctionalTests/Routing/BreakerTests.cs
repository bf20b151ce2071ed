using System.Net;
using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>A deployment that fails is left alone, tested once per interval, and used again when it works.</summary>
public sealed class BreakerTests : IAsyncLifetime
{
    private const string Facts =
        "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";

    private FakeUpstream _first = null!;
    private FakeUpstream _second = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _first = await FakeUpstream.StartAsync(context => FakeUpstream.Json(context, "{}", 500));
        _second = await FakeUpstream.StartAsync(Works);
    }

    public async ValueTask DisposeAsync()
    {
        await _first.DisposeAsync();
        await _second.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task FirstProviderFails_Open_CallsMakeNoFailedAttemptFirst(bool stream)
    {
        await using var gateway = await StartAsync("breaker: { failures: 5, interval: 1h }");
        for (var i = 0; i < 20; i++)
        {
            using var response = await ChatAsync(gateway, "both", stream);
            var text = await response.Content.ReadAsStringAsync(Token);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Contains("hello", text, StringComparison.Ordinal);
            if (i >= 2) Assert.DoesNotContain("first/m", text, StringComparison.Ordinal);
        }
        // The second call stopped retrying when the breaker opened.
        Assert.Equal(5, _first.Requests.Count);
        Assert.Equal(20, _second.Requests.Count);
        var state = gateway.Services.GetRequiredService<IBreakerStates>();
        Assert.True(state.Find("first/m").IsOpen);
        Assert.Equal(BreakerState.Closed, state.Find("second/m"));
        var rows = (await gateway.Admin.GetJsonAsync("/admin/v1/deployments")).GetProperty("data").EnumerateArray();
        var shown = rows.Single(row => row.GetProperty("id").GetString() == "first/m").GetProperty("breaker");
        Assert.Equal("open", shown.GetProperty("state").GetString());
        var interval = shown.GetProperty("next_test_at").GetDateTimeOffset() - shown.GetProperty("opened_at").GetDateTimeOffset();
        Assert.InRange(interval.TotalMinutes, 59, 61);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AllOpen_NoTestDue_RefusesAtOnceWithTheTimeOfTheTest(bool stream)
    {
        await using var gateway = await StartAsync("breaker: { failures: 3, interval: 50s }");
        for (var i = 0; i < 3; i++)
        {
            using var failed = await ChatAsync(gateway, "one", stream);
            Assert.Equal(HttpStatusCode.BadGateway, failed.StatusCode);
        }
        for (var i = 0; i < 5; i++)
        {
            using var refused = await ChatAsync(gateway, "one", stream);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.InRange(int.Parse(refused.Headers.GetValues("Retry-After").Single(), null), 1, 50);
            var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error");
            Assert.Equal("provider_unavailable", error.GetProperty("code").GetString());
            Assert.True(error.GetProperty("retryable").GetBoolean());
            Assert.InRange(error.GetProperty("retry_after_ms").GetInt64(), 1, 50_000);
        }
        Assert.Equal(3, _first.Requests.Count);
    }

    [Fact]
    public async Task Interval_WhileDown_AtMostOneTestEachAndReturnsAfterRecovery()
    {
        await using var gateway = await StartAsync("breaker: { failures: 3, interval: 250ms }");
        var since = TimeProvider.System.GetTimestamp();
        for (var i = 0; i < 200; i++) (await ChatAsync(gateway, "one")).Dispose();
        var intervals = (int)(TimeProvider.System.GetElapsedTime(since) / TimeSpan.FromMilliseconds(250));
        Assert.InRange(_first.Requests.Count, 3, 3 + intervals);

        _first.Answer = Works;
        var failed = _first.Requests.Count;
        // Its client repeats the call until the next test is due.
        while ((await ChatAsync(gateway, "one")) is { StatusCode: not HttpStatusCode.OK } refused) refused.Dispose();
        Assert.Equal(failed + 1, _first.Requests.Count);
        for (var i = 0; i < 10; i++)
        {
            using var response = await ChatAsync(gateway, "one");
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }
    }

    [Fact]
    public async Task KeyRejected_OneOfTwo_OnlyThatKeyIsLeftOut()
    {
        _first.Answer = context => context.Request.Headers.Authorization == "Bearer bad"
            ? FakeUpstream.Json(context, """{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}""", 401)
            : Works(context);
        await using var gateway = await StartAsync("breaker: { failures: 2, interval: 1h }", "apiKeys: [bad, good]");
        for (var i = 0; i < 20; i++)
        {
            var response = await gateway.Client.PostForJsonAsync("/v1/chat/completions", Body("one"));
            var attempts = response.GetProperty("fairlead").GetProperty("attempts");
            Assert.InRange(attempts.GetArrayLength(), 1, i == 0 ? 2 : 1);
        }
        Assert.Single(_first.Requests, request => request.Headers["Authorization"] == "Bearer bad");
        Assert.False(gateway.Services.GetRequiredService<IBreakerStates>().Find("first/m").IsOpen);
    }

    [Fact]
    public async Task KeysRejected_All_OpensTheDeployment()
    {
        _first.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"no","code":"invalid_api_key"}}""", 401);
        await using var gateway = await StartAsync("breaker: { failures: 2, interval: 1h }", "apiKeys: [bad, worse]");
        for (var i = 0; i < 2; i++) (await ChatAsync(gateway, "one")).Dispose();
        using var refused = await ChatAsync(gateway, "one");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal(3, _first.Requests.Count);
    }

    [Fact]
    public async Task Streams_CutAfterContent_OpenTheDeployment()
    {
        _first.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"x"}"""));
            FakeUpstream.Cut(context);
        };
        await using var gateway = await StartAsync("breaker: { failures: 3, interval: 1h }");
        for (var i = 0; i < 3; i++)
        {
            using var broken = await ChatAsync(gateway, "one", stream: true);
            await SeenStream.ReadAsync(broken, Token);
        }
        using var refused = await ChatAsync(gateway, "one", stream: true);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
    }

    /// <summary>The slots are held by attempts that hang: a call that waits for one would wait for nothing.</summary>
    [Fact]
    public async Task Opens_CallsWaitForASlot_AreRefusedAtOnceOrWaitElsewhere()
    {
        using var arrived = new SemaphoreSlim(0);
        _first.Answer = async context =>
        {
            arrived.Release();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        await using var gateway = await StartAsync("breaker: { failures: 1, interval: 50s }", "apiKey: k, timeouts: { response: 2s }", limit: 2);
        var slots = gateway.Services.GetRequiredService<Fairlead.Scheduling.DeploymentSlots>();
        var hanging = ChatAsync(gateway, "one");
        Assert.True(await arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));
        _ = ChatAsync(gateway, "one", stream: true);
        Assert.True(await arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));
        var waiting = gateway.Client.PostForJsonAsync("/v1/chat/completions", Body("one"), HttpStatusCode.ServiceUnavailable);
        while (slots.WaitingFor("first/m") == 0) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);

        // The whole response times out, which opens the breaker. The stream still holds the other slot, and the one that is free is not used.
        Assert.Equal(HttpStatusCode.GatewayTimeout, (await hanging).StatusCode);
        var error = (await waiting).GetProperty("error");
        Assert.Equal("provider_unavailable", error.GetProperty("code").GetString());
        Assert.InRange(error.GetProperty("retry_after_ms").GetInt64(), 40_000, 50_000);
        Assert.Equal(2, _first.Requests.Count);
        Assert.Equal(0, slots.WaitingFor("first/m"));
        using var other = await ChatAsync(gateway, "both");
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
    }

    /// <summary>A count is no test: it is answered by the gateway while the breaker is open, and a provider that counts does not close it.</summary>
    [Fact]
    public async Task CountTokens_Open_NeitherTestsNorCloses()
    {
        await using var gateway = await StartAsync("breaker: { failures: 2, interval: 100ms }", kind: "anthropic", path: "");
        _first.Answer = context => context.Request.Path.Value!.EndsWith("count_tokens", StringComparison.Ordinal)
            ? FakeUpstream.Json(context, """{"input_tokens":4711}""")
            : FakeUpstream.Json(context, "{}", 500);
        Assert.Equal(4711, await CountAsync(gateway));
        for (var i = 0; i < 2; i++) (await ChatAsync(gateway, "one")).Dispose();
        var states = gateway.Services.GetRequiredService<IBreakerStates>();
        Assert.True(states.Find("first/m").IsOpen);

        var sent = _first.Requests.Count;
        while (states.Find("first/m").NextTestAt > TimeProvider.System.GetUtcNow()) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        for (var i = 0; i < 3; i++) Assert.InRange(await CountAsync(gateway), 1, 100);
        Assert.Equal(sent, _first.Requests.Count);
        Assert.True(states.Find("first/m").IsOpen);
        // The test is still there for a call.
        (await ChatAsync(gateway, "one")).Dispose();
        Assert.Equal(sent + 1, _first.Requests.Count);

        static async Task<long> CountAsync(TestGateway gateway) => (await gateway.Client.PostForJsonAsync("/v1/messages/count_tokens",
            """{"model":"one","messages":[{"role":"user","content":"Hi"}]}""")).GetProperty("input_tokens").GetInt64();
    }

    /// <summary>These say nothing about the deployment: rejected requests, rate limits, faults that a client ordered for itself.</summary>
    [Fact]
    public async Task Failures_NotByTheDeployment_DoNotOpen()
    {
        await using var gateway = await StartAsync("breaker: { failures: 2, interval: 1h }");
        foreach (var status in (int[])[400, 422, 413, 429])
        {
            _first.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"no"}}""", status);
            for (var i = 0; i < 4; i++)
            {
                using var response = await ChatAsync(gateway, "one");
                Assert.Equal(status is 422 ? 400 : status, (int)response.StatusCode);
            }
        }
        for (var i = 0; i < 4; i++)
        {
            using var response = await gateway.Client.PostJsonAsync("/v1/chat/completions", Body("sim-fast"), [("Fairlead-Simulate", "status=500")]);
            Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        }
        var states = gateway.Services.GetRequiredService<IBreakerStates>();
        Assert.False(states.Find("first/m").IsOpen);
        Assert.False(states.Find("sim/sim-fast").IsOpen);
    }

    private static Task Works(HttpContext context)
    {
        if (!((JsonElement)context.Items[FakeUpstream.RequestItem]!).TryGetProperty("stream", out var asked) || !asked.GetBoolean())
            return FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        return StreamAsync(context);

        static async Task StreamAsync(HttpContext context)
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"hello"}"""), FakeUpstream.Chunk("{}", "stop"),
                FakeUpstream.UsageChunk(), "[DONE]");
        }
    }

    private static string Body(string model, bool stream = false) =>
        $$"""{"model":"{{model}}","stream":{{(stream ? "true" : "false")}},"messages":[{"role":"user","content":"Hi"}]}""";

    private static Task<HttpResponseMessage> ChatAsync(TestGateway gateway, string model, bool stream = false) =>
        gateway.Client.PostJsonAsync("/v1/chat/completions", Body(model, stream));

    // One attempt for a call of "one", up to three for a call of "both".
    private Task<TestGateway> StartAsync(
        string breaker, string keys = "apiKey: k", int limit = 1000, string kind = "openai", string path = "/v1") => TestGateway.StartAsync($$"""
        fairlead:
          providers:
            first: { kind: {{kind}}, baseUrl: "{{_first.Url}}{{path}}", {{keys}} }
            second: { kind: openai, baseUrl: {{_second.Url}}/v1, apiKey: k }
            sim: { kind: simulated }
          {{breaker}}
          retry: { maxRetries: {{(breaker.Contains("failures: 5", StringComparison.Ordinal) ? 2 : 0)}}, baseDelay: 1ms }
          models:
            one: { {{Facts}}, deployments: [{ provider: first, model: m, maxConcurrency: {{limit}} }] }
            both:
              { {{Facts}}, deployments: [{ provider: first, model: m, priority: 1 }, { provider: second, model: m, priority: 2 }] }
        """);
}

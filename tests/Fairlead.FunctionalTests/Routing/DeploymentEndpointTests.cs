using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Adaptive;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.FunctionalTests.Routing;

/// <summary><c>GET /admin/v1/deployments</c>, and learned limits through the whole gateway.</summary>
public sealed class DeploymentEndpointTests : IAsyncLifetime
{
    private const string Facts = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";

    private readonly SemaphoreSlim _arrived = new(0);
    private readonly SemaphoreSlim _release = new(0);
    private FakeUpstream _upstream = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync(HoldAsync);

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        _arrived.Dispose();
        _release.Dispose();
    }

    [Fact]
    public async Task Deployments_BeforeAnyCall_ListsEveryOneOnce()
    {
        await using var gateway = await StartAsync();
        var rows = await RowsAsync(gateway);
        Assert.Equal(rows.Select(row => row.GetProperty("id").GetString()).Order(StringComparer.Ordinal).Distinct(), rows.Select(row => row.GetProperty("id").GetString()));
        Assert.Equal(
            """{"id":"up/up-m","object":"deployment","provider":"up","model":"up-m","models":["m"],"state":"active","concurrency_limit":null,"max_concurrency":null,"in_flight":0,"queued":0,"breaker":{"state":"closed","opened_at":null,"next_test_at":null},"latency_ms":null,"first_token_ms":null,"time_per_token_ms":null,"rate_limited":0,"server_errors":0,"provider_limits":{"remaining_requests":null,"remaining_tokens":null,"wait_ms":0}}""",
            Of(rows, "up/up-m").GetRawText());
        var limited = Of(rows, "up/limited");
        Assert.Equal((2, 2), (limited.GetProperty("concurrency_limit").GetInt32(), limited.GetProperty("max_concurrency").GetInt32()));
    }

    [Fact]
    public async Task Deployments_Pages_AreCompleteAndInOrder()
    {
        await using var gateway = await StartAsync();
        var all = (await RowsAsync(gateway)).Select(row => row.GetProperty("id").GetString()!).ToList();
        var paged = new List<string>();
        for (string? cursor = ""; cursor is not null;)
        {
            var page = await gateway.Admin.GetJsonAsync($"/admin/v1/deployments?limit=2{(cursor.Length > 0 ? "&cursor=" + Uri.EscapeDataString(cursor) : "")}");
            Assert.InRange(page.GetProperty("data").GetArrayLength(), 1, 2);
            paged.AddRange(page.GetProperty("data").EnumerateArray().Select(row => row.GetProperty("id").GetString()!));
            cursor = page.GetProperty("next_cursor").GetString();
        }
        Assert.Equal(all, paged);
        Assert.True(all.Count > 2);
    }

    [Fact]
    public async Task Deployments_WrongKeyOrParameter_IsRefused()
    {
        await using var gateway = await StartAsync();
        Assert.Equal("insufficient_scope", (await gateway.Client.GetJsonAsync("/admin/v1/deployments", HttpStatusCode.Forbidden)).GetProperty("code").GetString());
        var error = await gateway.Admin.GetJsonAsync("/admin/v1/deployments?limit=0&model=x", HttpStatusCode.BadRequest);
        Assert.Equal(["/model", "/limit"], error.GetProperty("errors").EnumerateArray().Select(one => one.GetProperty("pointer").GetString()));
    }

    [Fact]
    public async Task Deployments_AfterCalls_ShowLoadAndLatency()
    {
        await using var gateway = await StartAsync();
        var running = Enumerable.Range(0, 3).Select(_ => ChatAsync(gateway, "limited", stream: true)).ToList();
        for (var i = 0; i < 2; i++) await ArrivedAsync();
        while (gateway.Services.GetRequiredService<DeploymentSlots>().WaitingFor("up/limited") == 0) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        var during = Of(await RowsAsync(gateway), "up/limited");
        Assert.Equal((2, 1), (during.GetProperty("in_flight").GetInt32(), during.GetProperty("queued").GetInt32()));
        _release.Release(3);
        foreach (var call in running) Assert.Equal(HttpStatusCode.OK, await call);

        var after = Of(await RowsAsync(gateway), "up/limited");
        Assert.Equal((0, 0), (after.GetProperty("in_flight").GetInt32(), after.GetProperty("queued").GetInt32()));
        Assert.True(after.GetProperty("latency_ms").GetDouble() > 0);
        Assert.True(after.GetProperty("first_token_ms").GetDouble() > 0);
        // 0 if both tokens arrived in one read.
        Assert.True(after.GetProperty("time_per_token_ms").GetDouble() >= 0);
        Assert.True(after.GetProperty("latency_ms").GetDouble() >= after.GetProperty("first_token_ms").GetDouble());
    }

    /// <summary>A deployment without a maximum gets one when it refuses; further calls wait. <c>adaptive: false</c> leaves it alone.</summary>
    [Fact]
    public async Task LearnedLimit_DeploymentRefuses_FurtherCallsWait()
    {
        await using var gateway = await StartAsync();
        var running = Enumerable.Range(0, 5).Select(_ => ChatAsync(gateway, "m")).ToList();
        for (var i = 0; i < 5; i++) await ArrivedAsync();
        Assert.Equal(JsonValueKind.Null, Of(await RowsAsync(gateway), "up/up-m").GetProperty("concurrency_limit").ValueKind);
        _upstream.Answer = context => FakeUpstream.Json(context, "{}", 503);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await ChatAsync(gateway, "m"));

        var row = Of(await RowsAsync(gateway), "up/up-m");
        // Four fifths of six.
        Assert.Equal((4, 5, 1), (row.GetProperty("concurrency_limit").GetInt32(), row.GetProperty("in_flight").GetInt32(), row.GetProperty("server_errors").GetInt32()));
        _upstream.Answer = HoldAsync;
        var waiting = ChatAsync(gateway, "m");
        while (gateway.Services.GetRequiredService<DeploymentSlots>().WaitingFor("up/up-m") == 0) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        Assert.Equal(1, Of(await RowsAsync(gateway), "up/up-m").GetProperty("queued").GetInt32());
        // The other model does not use what was learned.
        var unaffected = ChatAsync(gateway, "fixed");
        _release.Release(7);
        foreach (var call in running.Append(waiting).Append(unaffected)) Assert.Equal(HttpStatusCode.OK, await call);
    }

    [Fact]
    public async Task LearnedLimit_AdaptiveOff_CallsDoNotWait()
    {
        await using var gateway = await StartAsync();
        var running = Enumerable.Range(0, 5).Select(_ => ChatAsync(gateway, "fixed")).ToList();
        for (var i = 0; i < 5; i++) await ArrivedAsync();
        _upstream.Answer = context => FakeUpstream.Json(context, "{}", 503);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await ChatAsync(gateway, "fixed"));
        _upstream.Answer = HoldAsync;
        running.Add(ChatAsync(gateway, "fixed"));
        await ArrivedAsync();
        _release.Release(6);
        foreach (var call in running) Assert.Equal(HttpStatusCode.OK, await call);
    }

    private static async Task<List<JsonElement>> RowsAsync(TestGateway gateway) =>
        [.. (await gateway.Admin.GetJsonAsync("/admin/v1/deployments?limit=100")).GetProperty("data").EnumerateArray()];

    private static JsonElement Of(List<JsonElement> rows, string id) => rows.Single(row => row.GetProperty("id").GetString() == id);

    private static async Task<HttpStatusCode> ChatAsync(TestGateway gateway, string model, bool stream = false)
    {
        var body = $$"""{"model":"{{model}}","stream":{{(stream ? "true" : "false")}},"messages":[{"role":"user","content":"Hi"}]}""";
        using var response = await gateway.Client.PostJsonAsync("/v1/chat/completions", body);
        await response.Content.CopyToAsync(Stream.Null, Token);
        return response.StatusCode;
    }

    private async Task ArrivedAsync() => Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));

    private async Task HoldAsync(HttpContext context)
    {
        var isStream = ((JsonElement)context.Items[FakeUpstream.RequestItem]!).GetProperty("stream").GetBoolean();
        _arrived.Release();
        await _release.WaitAsync(context.RequestAborted);
        if (!isStream)
        {
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
            return;
        }
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"hel"}"""));
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"lo"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }

    // Without the tick, so that no limit grows while a test looks at it.
    private Task<TestGateway> StartAsync() => TestGateway.StartAsync($$"""
        fairlead:
          providers:
            up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
            sim: { kind: simulated }
          retry: { maxRetries: 0 }
          models:
            m: { {{Facts}}, deployments: [{ provider: up, model: up-m }] }
            fixed: { {{Facts}}, deployments: [{ provider: up, model: up-fixed }], scheduling: { adaptive: false } }
            limited: { {{Facts}}, deployments: [{ provider: up, model: limited, maxConcurrency: 2 }] }
        """, (builder, _) =>
    {
        foreach (var service in builder.Services.Where(service => service.ServiceType == typeof(IHostedService) && service.ImplementationType == typeof(LearningService)).ToList())
            builder.Services.Remove(service);
    });
}

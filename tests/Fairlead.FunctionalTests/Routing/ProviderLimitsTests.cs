using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>What providers say about their own limits is respected before they refuse.</summary>
public sealed class ProviderLimitsTests : IAsyncLifetime
{
    private const string Facts = "contextWindow: 80000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";

    private readonly ConcurrentQueue<string> _keys = new();
    private FakeUpstream _upstream = null!;
    private FakeUpstream _other = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _other = await FakeUpstream.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        await _other.DisposeAsync();
    }

    [Fact]
    public async Task Remaining_Zero_SendsTheNextCallToAnotherDeployment()
    {
        Answer(("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "5m0s"));
        await using var gateway = await StartAsync();
        for (var i = 0; i < 3; i++) Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "both"));
        Assert.Equal((1, 2), (_upstream.Requests.Count, _other.Requests.Count));
    }

    [Fact]
    public async Task RetryAfter_OfARefusal_SendsTheNextCallToAnotherDeployment()
    {
        _upstream.Answer = async context =>
        {
            context.Response.Headers.RetryAfter = "300";
            await FakeUpstream.Json(context, """{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}""", 429);
        };
        await using var gateway = await StartAsync();
        for (var i = 0; i < 3; i++) Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "both"));
        Assert.Equal((1, 3), (_upstream.Requests.Count, _other.Requests.Count));
    }

    [Fact]
    public async Task Remaining_TooFewTokensForTheCall_HoldsOnlyLargeCalls()
    {
        Answer(("x-ratelimit-remaining-requests", "900"), ("x-ratelimit-reset-requests", "5m0s"), ("x-ratelimit-remaining-tokens", "300"),
            ("x-ratelimit-reset-tokens", "5m0s"));
        await using var gateway = await StartAsync();
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "both"));
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "both", text: string.Concat(Enumerable.Repeat("several words ", 1000))));
        Assert.Equal((1, 1), (_upstream.Requests.Count, _other.Requests.Count));
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "both"));
        Assert.Equal((2, 1), (_upstream.Requests.Count, _other.Requests.Count));
    }

    [Fact]
    public async Task Remaining_ZeroForLongerThanACallMayWait_IsRefusedAtOnceWithTheWait()
    {
        Answer(("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "40s"));
        await using var gateway = await StartAsync();
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "one"));
        using var refused = await PostAsync(gateway, "one");
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.InRange(int.Parse(refused.Headers.GetValues("Retry-After").Single(), null), 30, 41);
        var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error");
        Assert.Equal("rate_limit_exceeded", error.GetProperty("code").GetString());
        Assert.Equal("provider", error.GetProperty("details").GetProperty("limit").GetString());
        Assert.Single(_upstream.Requests);
    }

    [Fact]
    public async Task Remaining_ZeroUntilAfterTheDeadline_Returns504AtOnce()
    {
        Answer(("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20s"));
        await using var gateway = await StartAsync();
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "one"));
        using var refused = await gateway.Client.PostJsonAsync("/v1/chat/completions",
            """{"model":"one","messages":[{"role":"user","content":"Hi"}],"fairlead":{"deadline_ms":10000}}""");
        Assert.Equal(HttpStatusCode.GatewayTimeout, refused.StatusCode);
        var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error");
        Assert.Equal("deadline_exceeded", error.GetProperty("code").GetString());
        Assert.InRange(error.GetProperty("details").GetProperty("expected_wait_ms").GetInt64(), 10_000, 20_001);
        Assert.Single(_upstream.Requests);
    }

    [Fact]
    public async Task Remaining_ZeroForAMoment_CallWaitsUntilTheReset()
    {
        var times = new ConcurrentQueue<long>();
        _upstream.Answer = async context =>
        {
            times.Enqueue(TimeProvider.System.GetTimestamp());
            context.Response.Headers["x-ratelimit-remaining-requests"] = "0";
            context.Response.Headers["x-ratelimit-reset-requests"] = "400ms";
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        };
        await using var gateway = await StartAsync();
        for (var i = 0; i < 3; i++) Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "one"));
        var at = times.ToArray();
        Assert.Equal(3, at.Length);
        // The report arrived after the request, so its reset is later still.
        for (var i = 1; i < at.Length; i++) Assert.True(TimeProvider.System.GetElapsedTime(at[i - 1], at[i]) >= TimeSpan.FromMilliseconds(400));
    }

    /// <summary>Parallel calls take no more than was left.</summary>
    [Fact]
    public async Task Remaining_FewLeft_ParallelCallsTakeNoMore()
    {
        Answer(("x-ratelimit-remaining-requests", "3"), ("x-ratelimit-reset-requests", "5m0s"));
        await using var gateway = await StartAsync();
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "both"));
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            await release.Task;
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        };
        var calls = Enumerable.Range(0, 10).Select(_ => ChatAsync(gateway, "both")).ToList();
        while (_other.Requests.Count < 7) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        release.SetResult();
        Assert.All(await Task.WhenAll(calls), status => Assert.Equal(HttpStatusCode.OK, status));
        Assert.Equal((4, 7), (_upstream.Requests.Count, _other.Requests.Count));
    }

    [Fact]
    public async Task Keys_OneIsUsedUp_UsesTheOther()
    {
        _upstream.Answer = async context =>
        {
            var key = context.Request.Headers.Authorization.ToString();
            _keys.Enqueue(key);
            if (key.EndsWith("first", StringComparison.Ordinal))
            {
                context.Response.Headers["x-ratelimit-remaining-requests"] = "0";
                context.Response.Headers["x-ratelimit-reset-requests"] = "5m0s";
            }
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        };
        await using var gateway = await StartAsync(keys: "apiKeys: [first, second]");
        for (var i = 0; i < 6; i++) Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "one"));
        Assert.Equal(1, _keys.Count(key => key.EndsWith("first", StringComparison.Ordinal)));
        Assert.Equal(5, _keys.Count(key => key.EndsWith("second", StringComparison.Ordinal)));
    }

    /// <summary>The key that works has no room, and the one that has room does not work: nothing is sent with either.</summary>
    [Fact]
    public async Task Keys_OneIsUsedUpAndTheOtherRejected_HoldsTheDeployment()
    {
        _upstream.Answer = async context =>
        {
            var key = context.Request.Headers.Authorization.ToString();
            _keys.Enqueue(key);
            if (key.EndsWith("bad", StringComparison.Ordinal))
            {
                await FakeUpstream.Json(context, """{"error":{"message":"no","code":"invalid_api_key"}}""", 401);
                return;
            }
            context.Response.Headers["x-ratelimit-remaining-requests"] = "1";
            context.Response.Headers["x-ratelimit-reset-requests"] = "5m0s";
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        };
        await using var gateway = await StartAsync(keys: "apiKeys: [bad, good]");
        // The first call finds out about both keys.
        for (var i = 0; i < 2; i++) Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "one"));
        _upstream.Answer = async context =>
        {
            _keys.Enqueue(context.Request.Headers.Authorization.ToString());
            context.Response.Headers["x-ratelimit-remaining-requests"] = "0";
            context.Response.Headers["x-ratelimit-reset-requests"] = "5m0s";
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        };
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "one"));
        var sent = _keys.Count;
        for (var i = 0; i < 3; i++) Assert.Equal(HttpStatusCode.TooManyRequests, await ChatAsync(gateway, "one"));
        Assert.Equal(sent, _keys.Count);
        Assert.Equal(1, _keys.Count(key => key.EndsWith("bad", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Keys_OneIsRefused_RetriesWithTheOtherAtOnce()
    {
        _upstream.Answer = async context =>
        {
            var key = context.Request.Headers.Authorization.ToString();
            _keys.Enqueue(key);
            if (key.EndsWith("second", StringComparison.Ordinal))
            {
                await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
                return;
            }
            context.Response.Headers.RetryAfter = "300";
            await FakeUpstream.Json(context, """{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}""", 429);
        };
        await using var gateway = await StartAsync(keys: "apiKeys: [first, second]", retries: 2);
        for (var i = 0; i < 4; i++) Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "one"));
        Assert.Equal(1, _keys.Count(key => key.EndsWith("first", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Anthropic_InputTokensUsedUp_HoldsTheDeployment()
    {
        _upstream.Answer = async context =>
        {
            context.Response.Headers["anthropic-ratelimit-input-tokens-remaining"] = "0";
            context.Response.Headers["anthropic-ratelimit-input-tokens-reset"] = DateTimeOffset.UnixEpoch.AddYears(200).ToString("O");
            await FakeUpstream.Json(context,
                """{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}""");
        };
        await using var gateway = await StartAsync();
        for (var i = 0; i < 3; i++) Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway, "claude"));
        Assert.Equal((1, 2), (_upstream.Requests.Count, _other.Requests.Count));
        var rows = (await gateway.Admin.GetJsonAsync("/admin/v1/deployments")).GetProperty("data").EnumerateArray();
        var limits = rows.Single(row => row.GetProperty("id").GetString() == "anthropic/c").GetProperty("provider_limits");
        Assert.Equal(0, limits.GetProperty("remaining_tokens").GetInt64());
        Assert.Equal(JsonValueKind.Null, limits.GetProperty("remaining_requests").ValueKind);
        // No hold is longer than ten minutes.
        Assert.InRange(limits.GetProperty("wait_ms").GetInt64(), 1, 600_001);
    }

    private static async Task<HttpStatusCode> ChatAsync(TestGateway gateway, string model, string text = "Hi")
    {
        using var response = await PostAsync(gateway, model, text);
        return response.StatusCode;
    }

    private static Task<HttpResponseMessage> PostAsync(TestGateway gateway, string model, string text = "Hi") => gateway.Client.PostJsonAsync(
        "/v1/chat/completions", $$"""{"model":"{{model}}","messages":[{"role":"user","content":"{{text}}"}]}""");

    private void Answer(params (string Name, string Value)[] headers) => _upstream.Answer = async context =>
    {
        foreach (var (name, value) in headers) context.Response.Headers[name] = value;
        await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
    };

    private Task<TestGateway> StartAsync(string keys = "apiKey: k", int retries = 0) => TestGateway.StartAsync($$"""
        fairlead:
          providers:
            up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, {{keys}} }
            other: { kind: openai, baseUrl: {{_other.Url}}/v1, apiKey: k }
            anthropic: { kind: anthropic, baseUrl: {{_upstream.Url}}, apiKey: k }
          retry: { maxRetries: {{retries}} }
          models:
            one: { {{Facts}}, deployments: [{ provider: up, model: m }] }
            both: { {{Facts}}, deployments: [{ provider: up, model: m, priority: 1 }, { provider: other, model: m, priority: 2 }] }
            claude: { {{Facts}}, deployments: [{ provider: anthropic, model: c, priority: 1 }, { provider: other, model: m, priority: 2 }] }
        """);
}

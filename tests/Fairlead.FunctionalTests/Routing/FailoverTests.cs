using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>What is tried again and where, by class of error.</summary>
public sealed class FailoverTests : IAsyncLifetime
{
    private const string Overflow =
        """{"error":{"message":"This model's maximum context length is 8000 tokens.","code":"context_length_exceeded"}}""";

    private const string Facts = "maxOutputTokens: 20, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";

    private FakeUpstream _first = null!;
    private FakeUpstream _second = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _first = await FakeUpstream.StartAsync();
        _second = await FakeUpstream.StartAsync(Works);
    }

    public async ValueTask DisposeAsync()
    {
        await _first.DisposeAsync();
        await _second.DisposeAsync();
    }

    [Fact]
    public async Task RetryBudget_ThousandCallsAtHalfErrors_BoundsAttempts()
    {
        var count = 0;
        _first.Answer = context => Interlocked.Increment(ref count) % 2 == 0 ? FakeUpstream.Json(context, "{}", 500) : Works(context);
        await using var gateway = await StartAsync("breaker: { enabled: false }, retry: { maxRetries: 2, baseDelay: 1ms }");
        await Parallel.ForAsync(0, 1000, new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Token }, async (_, _) =>
        {
            using var response = await ChatAsync(gateway, "one");
        });
        Assert.InRange(_first.Requests.Count, 1001, 1200 + 10);
    }

    [Theory]
    [InlineData("firstToken: 200ms", true)]
    [InlineData("response: 200ms", false)]
    [InlineData("total: 200ms", true)]
    [InlineData("total: 200ms", false)]
    public async Task SilentProvider_EachTimeout_FailsOverAfterOneAttempt(string timeouts, bool stream)
    {
        _first.Answer = context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        await using var gateway = await StartAsync("retry: { maxRetries: 2, baseDelay: 1ms }", timeouts);
        using var response = await ChatAsync(gateway, "both", stream);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Contains("hello", await response.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        Assert.Single(_first.Requests);
        Assert.Single(_second.Requests);
    }

    /// <summary>A stream that opens and then says nothing.</summary>
    [Fact]
    public async Task StreamWithoutContent_FirstTokenTimeout_FailsOver()
    {
        _first.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant"}"""));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        await using var gateway = await StartAsync("retry: { maxRetries: 2 }", "firstToken: 200ms");
        using var response = await ChatAsync(gateway, "both", stream: true);
        Assert.Contains("hello", await response.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        Assert.Single(_first.Requests);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Overflow_ProviderReportsIt_LargerModelServesTheCall(bool stream)
    {
        _first.Answer = context => FakeUpstream.Json(context, Overflow, 400);
        await using var gateway = await StartAsync("");
        using var response = await ChatAsync(gateway, "small", stream);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var last = await LastAsync(response, stream);
        var fairlead = last.GetProperty("fairlead");
        Assert.Equal(["failed", "complete"], fairlead.GetProperty("attempts").EnumerateArray().Select(a => a.GetProperty("outcome").GetString()));
        Assert.Contains("larger_model", fairlead.GetProperty("warnings").EnumerateArray().Select(w => w.GetProperty("code").GetString()));
        Assert.Equal("large", last.GetProperty("model").GetString());
        Assert.Single(_first.Requests);
    }

    [Fact]
    public async Task Overflow_KnownBeforehand_LargerModelServesTheCallAtOnce()
    {
        await using var gateway = await StartAsync("");
        var response = await gateway.Client.PostForJsonAsync("/v1/chat/completions", Body("small", false, Words(300)));
        Assert.Equal("large", response.GetProperty("model").GetString());
        Assert.Equal(1, response.GetProperty("fairlead").GetProperty("attempts").GetArrayLength());
        Assert.Empty(_first.Requests);

        // It does not fit the larger one either.
        using var refused = await gateway.Client.PostJsonAsync("/v1/chat/completions", Body("small", false, Words(20_000)));
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("context_length_exceeded", await refused.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Overflow_KeyMayNotUseTheLargerModel_IsReported()
    {
        _first.Answer = context => FakeUpstream.Json(context, Overflow, 400);
        await using var gateway = await StartAsync("");
        var (secret, _) = await gateway.MakeKeyAsync("\"scopes\":[\"chat\"],\"models\":[\"small\"]");
        using var client = gateway.MakeClient(secret);
        foreach (var text in (string[])["Hi", Words(300)])
        {
            using var refused = await client.PostJsonAsync("/v1/chat/completions", Body("small", false, text));
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
            Assert.Contains("context_length_exceeded", await refused.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        }
        Assert.Empty(_second.Requests);
    }

    [Theory]
    [InlineData("both", HttpStatusCode.BadRequest, 0)]
    [InlineData("permissive", HttpStatusCode.OK, 1)]
    public async Task ContentRejection_StaysUnlessAllowed(string model, HttpStatusCode status, int others)
    {
        _first.Answer = context => FakeUpstream.Json(context,
            """{"error":{"message":"Flagged by the content management policy.","code":"content_filter"}}""", 400);
        await using var gateway = await StartAsync("");
        using var response = await ChatAsync(gateway, model);
        Assert.Equal(status, response.StatusCode);
        Assert.Single(_first.Requests);
        Assert.Equal(others, _second.Requests.Count);
    }

    /// <summary>Gemini blocks a prompt with status 200 and no candidates.</summary>
    [Theory]
    [InlineData("gemini-both", false, false)]
    [InlineData("gemini-both", true, false)]
    [InlineData("gemini-permissive", false, true)]
    [InlineData("gemini-permissive", true, true)]
    public async Task BlockedPrompt_StaysUnlessAllowed(string model, bool stream, bool moves)
    {
        const string Blocked = """{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}""";
        _first.Answer = async context =>
        {
            if (!stream)
            {
                await FakeUpstream.Json(context, Blocked);
                return;
            }
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, Blocked);
        };
        await using var gateway = await StartAsync("");
        using var response = await ChatAsync(gateway, model, stream);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Contains(moves ? "hello" : "content_filter", await response.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        Assert.Single(_first.Requests);
        Assert.Equal(moves ? 1 : 0, _second.Requests.Count);
    }

    /// <summary>Any other rejection stays where it fell, whatever is allowed for content.</summary>
    [Fact]
    public async Task Rejection_NotForContent_StaysAlways()
    {
        _first.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"temperature must be below 2"}}""", 400);
        await using var gateway = await StartAsync("");
        using var response = await ChatAsync(gateway, "permissive");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(_second.Requests);
    }

    private static async Task<JsonElement> LastAsync(HttpResponseMessage response, bool stream)
    {
        if (!stream) return JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token)).RootElement;
        var seen = await SeenStream.ReadAsync(response, Token);
        return seen.Events.Last(e => e.Data != "[DONE]").Json;
    }

    private static string Words(int count) => string.Join(' ', Enumerable.Repeat("word", count));

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

    private static string Body(string model, bool stream = false, string text = "Hi") =>
        $$"""{"model":"{{model}}","stream":{{(stream ? "true" : "false")}},"messages":[{"role":"user","content":"{{text}}"}]}""";

    private static Task<HttpResponseMessage> ChatAsync(TestGateway gateway, string model, bool stream = false) =>
        gateway.Client.PostJsonAsync("/v1/chat/completions", Body(model, stream));

    private Task<TestGateway> StartAsync(string sections, string timeouts = "total: 60s") => TestGateway.StartAsync(
        "{ fairlead: { " + (sections.Length == 0 ? "" : sections + ", ") + $$"""
        providers: {
          first: { kind: openai, baseUrl: "{{_first.Url}}/v1", apiKey: k, timeouts: { {{timeouts}} } },
          gemini: { kind: gemini, baseUrl: "{{_first.Url}}", apiKey: k },
          second: { kind: openai, baseUrl: "{{_second.Url}}/v1", apiKey: k } },
        models: {
          one: { contextWindow: 8000, {{Facts}}, deployments: [{ provider: first, model: m }] },
          both: { contextWindow: 8000, {{Facts}}, deployments: [{ provider: first, model: m, priority: 1 }, { provider: second, model: m, priority: 2 }] },
          permissive: { contextWindow: 8000, {{Facts}}, onContentRejection: failover, deployments: [{ provider: first, model: m, priority: 1 }, { provider: second, model: m, priority: 2 }] },
          gemini-both: { contextWindow: 8000, {{Facts}}, deployments: [{ provider: gemini, model: m, priority: 1 }, { provider: second, model: m, priority: 2 }] },
          gemini-permissive: { contextWindow: 8000, {{Facts}}, onContentRejection: failover, deployments: [{ provider: gemini, model: m, priority: 1 }, { provider: second, model: m, priority: 2 }] },
          small: { contextWindow: 200, {{Facts}}, onOverflow: large, deployments: [{ provider: first, model: small-m }] },
          large: { contextWindow: 8000, {{Facts}}, deployments: [{ provider: second, model: large-m }] }
        } } }
        """);
}

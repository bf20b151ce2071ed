using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>A deployment's <c>maxConcurrency</c>: never exceeded, given back by every ending, and full ones are passed over.</summary>
public sealed class MaxConcurrencyTests : IAsyncLifetime
{
    private readonly SemaphoreSlim _arrived = new(0);
    private FakeUpstream _upstream = null!;
    private TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _inside;
    private int _most;

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
    }

    [Fact]
    public async Task MaxConcurrency_ManyMixedCalls_IsNeverExceeded()
    {
        await using var gateway = await StartAsync(most: 3, maxWait: "60s");
        var calls = Enumerable.Range(0, 24).Select(i => ReadAsync(gateway, stream: i % 2 == 0)).ToList();
        // Three calls run, and no other starts while they do.
        for (var i = 0; i < 3; i++) Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));
        Assert.Equal(3, Volatile.Read(ref _inside));
        _release.SetResult();
        foreach (var status in await Task.WhenAll(calls)) Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(3, _most);
        Assert.Equal(24, _upstream.Received.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task MaxConcurrency_DeploymentFull_UsesAnotherOrReturns503(bool stream)
    {
        await using var gateway = await StartAsync(most: 1, maxWait: "100ms");
        var first = ReadAsync(gateway, stream);
        Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));

        Assert.Equal(HttpStatusCode.OK, await ReadAsync(gateway, stream, model: "either"));
        using (var refused = await ChatAsync(gateway, stream, "m"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.Equal("1", refused.Headers.GetValues("Retry-After").Single());
            var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error");
            Assert.Equal("provider_unavailable", error.GetProperty("code").GetString());
            Assert.True(error.GetProperty("retryable").GetBoolean());
        }
        Assert.Single(_upstream.Received);
        _release.SetResult();
        Assert.Equal(HttpStatusCode.OK, await first);
        Assert.Equal(HttpStatusCode.OK, await ReadAsync(gateway, stream));
    }

    /// <summary>Every way an attempt may end gives its place back; otherwise the last call would find none.</summary>
    [Fact]
    public async Task Attempt_EveryKindOfEnd_ReleasesConcurrencySlot()
    {
        await using var gateway = await StartAsync(most: 1, maxWait: "60s");
        // The client leaves in the middle.
        foreach (var stream in (bool[])[true, false])
        {
            using var leave = new CancellationTokenSource();
            var left = ChatAsync(gateway, stream, "m", leave.Token);
            Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));
            await leave.CancelAsync();
            if (stream)
            {
                // Its first words may have come already; then it is the body that is left.
                try
                {
                    (await left).Dispose();
                }
                catch (OperationCanceledException)
                {
                }
            }
            else
            {
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
            }
        }
        // A failure, a broken stream, an invalid response.
        foreach (var answer in (Func<HttpContext, Task>[])
        [
            context => FakeUpstream.Json(context, "{}", 500),
            context => FakeUpstream.Json(context, "nothing"),
            async context =>
            {
                await FakeUpstream.BeginAsync(context);
                await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"x"}"""));
                FakeUpstream.Cut(context);
            },
        ])
        {
            _upstream.Answer = answer;
            foreach (var stream in (bool[])[true, false]) await ReadAsync(gateway, stream);
        }
        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        Assert.Equal(HttpStatusCode.OK, await ReadAsync(gateway, stream: false));
    }

    [Fact]
    public async Task Job_DeploymentFull_WaitsForSlotWithoutTimeout()
    {
        await using var gateway = await StartAsync(most: 1, maxWait: "50ms");
        var first = ReadAsync(gateway, stream: false);
        Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(60), Token));
        var job = await gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"m","input":"Hi","delivery":{"mode":"job"}}""");
        using (var refused = await ChatAsync(gateway, stream: false, "m")) Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        _release.SetResult();
        Assert.Equal(HttpStatusCode.OK, await first);
        using var done = await gateway.Client.GetAsync(new Uri($"/v2/generations/{job.GetProperty("id").GetString()}?wait=60", UriKind.Relative), Token);
        var generation = JsonDocument.Parse(await done.Content.ReadAsStringAsync(Token)).RootElement;
        Assert.Equal("completed", generation.GetProperty("status").GetString());
        Assert.Equal(1, generation.GetProperty("attempts").GetArrayLength());
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var now = Interlocked.Increment(ref _inside);
        InterlockedMax(ref _most, now);
        try
        {
            var stream = ((JsonElement)context.Items[FakeUpstream.RequestItem]!).TryGetProperty("stream", out var asked) && asked.GetBoolean();
            if (stream)
            {
                await FakeUpstream.BeginAsync(context);
                await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"begun"}"""));
            }
            _arrived.Release();
            await _release.Task.WaitAsync(context.RequestAborted);
            // Out before the last byte: who reads it may come back at once.
            Interlocked.Decrement(ref _inside);
            now = 0;
            if (stream) await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
            else await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        }
        catch (OperationCanceledException)
        {
            // The gateway left.
        }
        finally
        {
            if (now > 0) Interlocked.Decrement(ref _inside);
        }
    }

    private static void InterlockedMax(ref int target, int value)
    {
        for (var seen = Volatile.Read(ref target); seen < value; seen = Volatile.Read(ref target))
        {
            if (Interlocked.CompareExchange(ref target, value, seen) == seen) return;
        }
    }

    private static async Task<HttpStatusCode> ReadAsync(TestGateway gateway, bool stream, string model = "m")
    {
        using var response = await ChatAsync(gateway, stream, model);
        try
        {
            await response.Content.CopyToAsync(Stream.Null, Token);
        }
        catch (HttpRequestException)
        {
            // A stream that broke.
        }
        return response.StatusCode;
    }

    private static Task<HttpResponseMessage> ChatAsync(TestGateway gateway, bool stream, string model, CancellationToken? token = null)
    {
        var body = $$"""{"model":"{{model}}","stream":{{(stream ? "true" : "false")}},"messages":[{"role":"user","content":"Hi"}]}""";
        return gateway.Client.PostJsonAsync("/v1/chat/completions", body, cancellationToken: token);
    }

    private Task<TestGateway> StartAsync(int most, string maxWait)
    {
        const string Facts = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";
        var bounded = $$"""{ provider: up, model: up-m, priority: 1, maxConcurrency: {{most}} }""";
        return TestGateway.StartAsync($$"""
            fairlead:
              providers:
                up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
                sim: { kind: simulated }
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              scheduling: { maxWait: {{maxWait}} }
              models:
                m: { {{Facts}}, deployments: [{{bounded}}] }
                either: { {{Facts}}, deployments: [{{bounded}}, { provider: sim, model: sim-fast, priority: 2 }] }
            """);
    }
}

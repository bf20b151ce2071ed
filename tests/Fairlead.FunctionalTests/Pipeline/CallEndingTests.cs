using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Pipeline;

/// <summary>
/// Every failure inside or behind the gateway: the call is settled, recorded once and charged correctly, and its client gets the error.
/// </summary>
public sealed class CallEndingTests : IAsyncLifetime
{
    private const string Retries = """
          retry: { maxRetries: 1, baseDelay: 1ms, maxDelay: 10s }
        """;

    private FakeUpstream _upstream = null!;
    private TestGateway? _gateway;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private TestGateway Gateway => _gateway!;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public async ValueTask DisposeAsync()
    {
        if (_gateway is not null) await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task NativeOnlyRequest_ClientDisconnects_IsSettledRecordedAndCharged(bool stream)
    {
        await StartAsync(_upstream.Yaml());
        var reached = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            if (stream)
            {
                await BeginAsync(context);
                await SendAsync(context, Chunk("""{"role":"assistant","content":"one two three"}"""));
            }
            reached.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        using (var leave = CancellationTokenSource.CreateLinkedTokenSource(Cancel))
        {
            var call = Gateway.Client.PostJsonAsync("/v1/chat/completions", $$$"""{"model":"m","stream":{{{(stream ? "true" : "false")}}},"messages":[{"role":"user","content":"hi"}],"vendor_field":{"a":1,"a":2}}""", cancellationToken: leave.Token);
            await reached.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel);
            if (stream) (await call).Dispose();
            await leave.CancelAsync();
            if (!stream) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        }
        await NothingOpenAsync();
        var record = Assert.Single(await AuditAsync());
        Assert.Equal("cancelled", record.GetProperty("outcome").GetString());
        Assert.True(record.GetProperty("cost_usd").GetDecimal() > 0);
        Assert.True(record.GetProperty("usage").GetProperty("input_tokens").GetInt64() > 0);
    }

    [Fact]
    public async Task Attempt_TotalTimeout_FailsOverToNextDeployment()
    {
        await StartAsync(TwoDeployments("total: 1s"));
        _upstream.Answer = context => ModelOf() == "first" ? HangAsync(context) : Json(context, Completion("from the second"));
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"two","messages":[{"role":"user","content":"hi"}]}""");
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        Assert.Contains("from the second", body, StringComparison.Ordinal);
        var attempts = JsonDocument.Parse(body).RootElement.GetProperty("fairlead").GetProperty("attempts");
        Assert.Equal("provider_timeout", attempts[0].GetProperty("error_code").GetString());
    }

    [Fact]
    public async Task FirstToken_TimesOut_SameDeploymentIsNotRetried()
    {
        await StartAsync(TwoDeployments("firstToken: 300ms"));
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            if (ModelOf() == "first") await HangAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"here"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"two","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        Assert.Equal(["first", "second"], _upstream.Received.Select(body => body.GetProperty("model").GetString()!));
    }

    [Fact]
    public async Task RetryWait_LongerThanAttemptTimeout_IsNotCutShort()
    {
        // The wait that the provider asks for is longer than an attempt may take, by the jitter that is added to it and more.
        await StartAsync(_upstream.Yaml(Retries).Replace("model: upstream-m }", "model: upstream-m, timeouts: { total: 2s } }", StringComparison.Ordinal));
        _upstream.Answer = context =>
        {
            if (_upstream.Received.Count > 1) return Json(context, Completion("at last"));
            context.Response.Headers.RetryAfter = "3";
            return Json(context, "{}", 503);
        };
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task Stream_InvalidRequestErrorEvent_Returns400WithoutRetryOrCost()
    {
        await StartAsync(_upstream.Yaml(Retries));
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, """{"error":{"message":"bad request","type":"invalid_request_error"}}""");
        };
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Single(_upstream.Received);
        await NothingOpenAsync();
        Assert.Equal(0, Assert.Single(await AuditAsync()).GetProperty("cost_usd").GetDecimal());
    }

    [Fact]
    public async Task SpoolFull_Request_Returns503StoreUnavailableWithoutSending()
    {
        await StartAsync(_upstream.Yaml(), new SpoolWith { Starting = () => throw new SpoolUnavailableException("full") });
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("store_unavailable", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        Assert.Empty(_upstream.Received);
        await NothingOpenAsync();
    }

    [Fact]
    public async Task SpoolFull_Job_DoesNotUseUpARun()
    {
        var starts = 0;
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"done"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await StartAsync(_upstream.Yaml("  jobs: { maxRuns: 1, backoff: 1ms }"), new SpoolWith { Starting = () => Throw(Interlocked.Increment(ref starts)) });
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent("""{"model":"m","messages":[{"role":"user","content":"hi"}]}""", Encoding.UTF8, "application/json") };
        request.Headers.Add("Prefer", "respond-async");
        using var accepted = await Gateway.Client.SendAsync(request, Cancel);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        using var done = await Gateway.Client.GetAsync(new Uri($"{accepted.Headers.Location}?wait=60", UriKind.RelativeOrAbsolute), Cancel);
        Assert.Contains("\"completed\"", await done.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        Assert.Equal(2, starts);
        await NothingOpenAsync();

        static void Throw(int number)
        {
            if (number == 1) throw new SpoolUnavailableException("full");
        }
    }

    [Fact]
    public async Task AuditRecord_WriteFails_ResponseIsStillSentAndNothingStaysOpen()
    {
        await StartAsync(_upstream.Yaml(), new SpoolWith { Ending = () => throw new InvalidOperationException("a bug of the spool") });
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        await NothingOpenAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Cancellation_WithoutKnownCause_ReturnsErrorNotEmptyResponse(bool stream)
    {
        await StartAsync(_upstream.Yaml(), new SpoolWith { Starting = () => throw new OperationCanceledException() });
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", $$$"""{"model":"m","stream":{{{(stream ? "true" : "false")}}},"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        Assert.Contains("internal_error", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        await NothingOpenAsync();
    }

    [Theory]
    [InlineData("/v1/chat/completions", "", false)]
    [InlineData("/v1/chat/completions", ",\"fairlead\":{\"on_disconnect\":\"continue\"}", false)]
    [InlineData("/v1/chat/completions", "", true)]
    [InlineData("/v1/messages", ",\"max_tokens\":10", false)]
    public async Task Stream_ProviderThrowsAfterStart_SendsErrorEvent(string path, string more, bool lateCommit)
    {
        var provider = new ThrowingProvider(lateCommit);
        await StartAsync("""
            fairlead:
              providers: { odd: { kind: simulated } }
              models: { odd: { contextWindow: 8000, maxOutputTokens: 100, prices: { input: 1, output: 10 }, capabilities: { tools: false }, deployments: [{ provider: odd, model: sim-fast }] } }
              stream: { commitAfter: 100ms }
            """, provider: provider);
        using var response = await Gateway.Client.PostJsonAsync(path, $$$"""{"model":"odd","stream":true,"messages":[{"role":"user","content":"hi"}]{{{more}}}}""");
        if (lateCommit) provider.Release.SetResult();
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.Contains("error", stream.Events[^1].Data, StringComparison.Ordinal);
        Assert.DoesNotContain("[DONE]", stream.Raw, StringComparison.Ordinal);
        Assert.DoesNotContain("secret of the inside", stream.Raw, StringComparison.Ordinal);
        await NothingOpenAsync();
        var record = Assert.Single(await AuditAsync());
        Assert.Equal(("failed", "internal_error"), (record.GetProperty("outcome").GetString(), record.GetProperty("error_code").GetString()));
    }

    [Fact]
    public async Task Attempt_UntranslatableRequest_IsNotCharged()
    {
        // The provider uses another dialect, in which a duplicate member has no meaning.
        await StartAsync($$"""
            fairlead:
              providers: { up: { kind: anthropic, baseUrl: "{{_upstream.Url}}", apiKey: sk-x } }
              models: { m: { contextWindow: 8000, maxOutputTokens: 100, prices: { input: 1, output: 10 }, capabilities: { tools: false }, deployments: [{ provider: up, model: m }] } }
            """);
        using var response = await Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}],"metadata":{"a":"1","a":"2"}}""");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(_upstream.Received);
        await NothingOpenAsync();
        var record = Assert.Single(await AuditAsync());
        Assert.Equal(0, record.GetProperty("cost_usd").GetDecimal());
        Assert.False(record.GetProperty("attempts")[0].GetProperty("sent").GetBoolean());
    }

    private static async Task HangAsync(Microsoft.AspNetCore.Http.HttpContext context) =>
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);

    private string? ModelOf() => _upstream.Received.Last().GetProperty("model").GetString();

    private string TwoDeployments(string timeouts) => $$"""
        fairlead:
          providers:
            up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: sk-x }
          models:
            two:
              contextWindow: 8000
              maxOutputTokens: 100
              prices: { input: 1, output: 10 }
              capabilities: { tools: false }
              deployments:
                - { provider: up, model: first, priority: 1, timeouts: { {{timeouts}} } }
                - { provider: up, model: second, priority: 2 }
          retry: { maxRetries: 1, baseDelay: 1ms, maxDelay: 5ms }
          breaker: { enabled: false }
        """;

    private async Task StartAsync(string yaml, SpoolWith? spool = null, Provider? provider = null) => _gateway = await TestGateway.StartAsync(yaml, (builder, _) =>
    {
        if (spool is not null)
        {
            builder.Services.RemoveAll<ISpool>();
            builder.Services.AddSingleton<ISpool>(services =>
            {
                spool.Inner = services.GetRequiredService<Spool>();
                return spool;
            });
        }
        if (provider is null) return;
        builder.Services.RemoveAll<ProviderKind>();
        foreach (var kind in BuiltInProviderKinds.All) builder.Services.AddSingleton(kind with { Create = (_, _, _) => provider });
    });

    private async Task NothingOpenAsync()
    {
        var ledger = Gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        var drain = Gateway.Services.GetRequiredService<DrainState>();
        for (var i = 0; ledger.Totals().Open > 0 || drain.Active > 0; i++)
        {
            Assert.True(i < 400, $"{ledger.Totals().Open} reservations are held, {drain.Active} calls are open.");
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, Cancel);
        }
        Assert.Equal((0, 0m), (ledger.Totals().HeldTokens, ledger.Totals().HeldUsd));
    }

    private async Task<List<JsonElement>> AuditAsync()
    {
        using var response = await Gateway.Admin.GetAsync(new Uri("/admin/v1/audit", UriKind.Relative), Cancel);
        return [.. JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("data").EnumerateArray()];
    }

    /// <summary>The real spool with injected errors.</summary>
    private sealed class SpoolWith : ISpool
    {
        public Spool Inner { get; set; } = null!;

        public Action Starting { get; init; } = static () => { };

        public Action Ending { get; init; } = static () => { };

        public void Reserve(GatewayCall call) => Inner.Reserve(call);

        public ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt)
        {
            Starting();
            return Inner.AttemptStartedAsync(call, attempt);
        }

        public void AttemptProgressed(GatewayCall call, Attempt attempt) => Inner.AttemptProgressed(call, attempt);

        public ValueTask CallEndedAsync(GatewayCall call, int status)
        {
            Ending();
            return Inner.CallEndedAsync(call, status);
        }
    }

    /// <summary>A provider in the place of all others, with a bug: it throws behind its first text, or before it once it may.</summary>
    private sealed class ThrowingProvider(bool beforeContent) : Provider("odd", "simulated")
    {
        public TaskCompletionSource Release { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override bool Speaks(Dialect dialect) => false;

        public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
        {
            attempt.Sent = true;
            if (!beforeContent) return new GatewayReply.Streaming(new Source());
            await Release.Task.WaitAsync(cancellationToken);
            throw new InvalidOperationException("secret of the inside");
        }

        private sealed class Source : IEventSource
        {
            private bool _read;

            public ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
            {
                batch.Clear();
                if (_read) throw new InvalidOperationException("secret of the inside");
                _read = true;
                batch.Add(new TextDelta("begun"));
                return new(true);
            }

            public ValueTask DisposeAsync() => default;
        }
    }
}

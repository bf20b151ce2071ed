using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.OpenAi;
using Fairlead.Streaming;
using Fairlead.Tests.Common;
using Fairlead.Tests.Dialects;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers.OpenAi;

public class OpenAiProviderTests
{
    private const string Ask = """{"model":"fast","messages":[{"role":"user","content":"hi"}],"own_field":7,"fairlead":{"class":"bulk"}}""";
    private const string AskStream = """{"model":"fast","stream":true,"messages":[{"role":"user","content":"hi"}]}""";
    private const string Reply = """{"id":"c1","object":"chat.completion","created":1,"model":"gpt-x-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}""";

    private static readonly Dialect Chat = OpenAiChatDialect.Create();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static string Delta(string text) => $$$"""data: {"id":"c1","model":"gpt-x-1","choices":[{"index":0,"delta":{"content":"{{{text}}}"},"finish_reason":null}]}""" + "\n\n";

    private static readonly string Finish = """data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}""" + "\n\n";
    private static readonly string Counted = """data: {"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}""" + "\n\n";
    private const string Done = "data: [DONE]\n\n";

    [Fact]
    public async Task SendAsync_SameDialect_ForwardsClientBytesWithProviderKey()
    {
        await using var upstream = await FakeUpstream.AnsweringAsync(200, Reply);
        var provider = upstream.Provider(change: c => c with { Headers = new Dictionary<string, string> { ["X-Team"] = "blue" } });
        var (reply, attempt, _) = await SendAsync(provider, Ask);
        using var body = Assert.IsType<GatewayReply.NativeBody>(reply).Body;
        Assert.Equal(Reply, Encoding.UTF8.GetString(body.WrittenSpan));
        Assert.Equal(9, attempt.Meter.Reported!.Value.InputTokens);
        Assert.Equal(FinishReason.Stop, attempt.Meter.FinishReason);
        Assert.Equal(200, attempt.UpstreamStatus);

        var request = Assert.Single(upstream.Requests);
        Assert.Equal("/v1/chat/completions", request.Path);
        Assert.Equal("""{"model":"gpt-x","messages":[{"role":"user","content":"hi"}],"own_field":7}""", request.Body);
        Assert.Equal("Bearer sk-upstream", request.Headers["Authorization"]);
        Assert.Equal("application/json", request.Headers["Content-Type"]);
        Assert.Equal("req_1", request.Headers["X-Client-Request-Id"]);
        Assert.Equal("blue", request.Headers["X-Team"]);
        Assert.False(request.Headers.ContainsKey("traceparent"));
    }

    [Fact]
    public async Task SendAsync_InTrace_SendsTraceparentWithSameTraceIdAndNewSpan()
    {
        await using var upstream = await FakeUpstream.AnsweringAsync(200, Reply);
        using var activity = new System.Diagnostics.Activity("call").SetIdFormat(System.Diagnostics.ActivityIdFormat.W3C).Start();
        var (reply, _, _) = await SendAsync(upstream.Provider(), Ask);
        Assert.IsType<GatewayReply.NativeBody>(reply).Body.Dispose();
        var parent = upstream.Requests.First().Headers["traceparent"].Split('-');
        Assert.Equal(activity.TraceId.ToHexString(), parent[1]);
        Assert.NotEqual(activity.SpanId.ToHexString(), parent[2]);
        Assert.NotEqual(new string('0', 16), parent[2]);
    }

    [Fact]
    public async Task SendAsync_ClientTraceWithoutSpan_ForwardsTraceHeaders()
    {
        const string Parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        await using var upstream = await FakeUpstream.AnsweringAsync(200, Reply);
        var call = DialectCalls.Of(Chat, Ask);
        Assert.Null(Chat.Requests.Read(call, new RequestBounds()));
        call.IncomingTrace = new Fairlead.Telemetry.IncomingTrace(Parent, "vendor=1");
        var provider = upstream.Provider();
        Assert.IsType<GatewayReply.NativeBody>(await provider.SendAsync(call, InnerCall.AttemptAt(provider, "gpt-x"), Token)).Body.Dispose();
        Assert.Equal(Parent, upstream.Requests.First().Headers["traceparent"]);
        Assert.Equal("vendor=1", upstream.Requests.First().Headers["tracestate"]);
    }

    [Fact]
    public async Task SendAsync_MultipleApiKeys_AreUsedRoundRobin()
    {
        await using var upstream = await FakeUpstream.AnsweringAsync(200, Reply);
        var provider = upstream.Provider(change: c => c with { ApiKey = null, ApiKeys = ["a", "b"] });
        for (var i = 0; i < 3; i++) Assert.IsType<GatewayReply.NativeBody>((await SendAsync(provider, Ask)).Reply).Body.Dispose();
        Assert.Equal(["Bearer a", "Bearer b", "Bearer a"], upstream.Requests.Select(r => r.Headers["Authorization"]));
    }

    [Theory]
    [InlineData("2025-04-01-preview", "", "/openai/deployments/gpt-x/chat/completions?api-version=2025-04-01-preview")]
    [InlineData("2025-04-01-preview", "/openai", "/openai/deployments/gpt-x/chat/completions?api-version=2025-04-01-preview")]
    [InlineData(null, "", "/openai/v1/chat/completions")]
    [InlineData(null, "/openai/v1/", "/openai/v1/chat/completions")]
    public async Task SendAsync_Azure_UsesAzureUrlsAndApiKeyHeader(string? version, string path, string expected)
    {
        await using var upstream = await FakeUpstream.AnsweringAsync(200, Reply);
        var provider = upstream.Provider(change: c => c with { Kind = "azure", BaseUrl = upstream.Url + path, ApiVersion = version });
        Assert.IsType<GatewayReply.NativeBody>((await SendAsync(provider, Ask)).Reply).Body.Dispose();
        Assert.Equal(expected, upstream.Requests.First().Path + upstream.Requests.First().Query);
        Assert.Equal("sk-upstream", upstream.Requests.First().Headers["api-key"]);
        Assert.False(upstream.Requests.First().Headers.ContainsKey("Authorization"));
    }

    [Theory]
    [InlineData("openai", null, false)]
    [InlineData("azure", "https://r.openai.azure.com", false)]
    [InlineData("mistral", null, false)]
    [InlineData("vllm", null, true)]
    [InlineData("ollama", null, true)]
    [InlineData("openai-compatible", "http://127.0.0.1:9/v1", true)]
    public void Speaks_Completions_OnlyForProvidersThatSupportThem(string kind, string? baseUrl, bool expected)
    {
        var provider = new OpenAiProvider("p", new ProviderConfig { Kind = kind, BaseUrl = baseUrl }, OpenAiUpstream.Clients());
        Assert.Equal(expected, provider.Speaks(OpenAiCompletionsDialect.Create()));
        Assert.True(provider.Speaks(Chat));
        Assert.True(provider.Speaks(OpenAiEmbeddingsDialect.Create()));
    }

    [Theory]
    [InlineData("not an address")]
    [InlineData("ftp://x/v1")]
    public void Create_InvalidBaseUrl_Throws(string baseUrl) =>
        Assert.Throws<ArgumentException>(() => new OpenAiProvider("p", new ProviderConfig { Kind = "openai", BaseUrl = baseUrl }, OpenAiUpstream.Clients()));

    public static TheoryData<string, string[]> WholeStreams => new()
    {
        { "plain", [Delta("Hel"), Delta("lo"), Finish, Counted, Done] },
        { "in one packet", [Delta("Hel") + Delta("lo") + Finish + Counted + Done] },
        { "CRLF", [(Delta("Hel") + Delta("lo") + Finish + Counted + Done).Replace("\n", "\r\n", StringComparison.Ordinal)] },
        { "CR", [(Delta("Hel") + Delta("lo") + Finish + Counted + Done).Replace('\n', '\r')] },
        { "byte by byte", [.. (Delta("Hel") + Delta("lo") + Finish + Counted + Done).Select(c => c.ToString())] },
        { "comments between", [": ping\n\n", Delta("Hel"), ": ping\n\n", Delta("lo"), Finish, Counted, Done] },
        { "no end mark", [Delta("Hel"), Delta("lo"), Finish, Counted] },
        { "connection cut behind the finish", [Delta("Hel"), Delta("lo"), Finish, Counted, "!"] },
    };

    [Theory]
    [MemberData(nameof(WholeStreams))]
    public async Task SendAsync_CompleteStream_EndsNormally(string name, string[] pieces)
    {
        Assert.NotEmpty(name);
        await using var upstream = await FakeUpstream.StreamingAsync(pieces);
        var (events, text, attempt) = await ReadStreamAsync(upstream.Provider(), upstream);
        Assert.Equal("Hello", text);
        Assert.DoesNotContain(events, e => e.Event is AttemptFailed);
        Assert.Equal(7, attempt.Meter.Reported!.Value.TotalTokens);
        Assert.Equal(FinishReason.Stop, attempt.Meter.FinishReason);
        Assert.Equal(0, attempt.Meter.SkippedEvents);
        Assert.Equal("gpt-x-1", attempt.Meter.UpstreamModel);
        Assert.Contains("\"include_usage\":true", upstream.Requests.First().Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SendAsync_MalformedChunk_IsSkippedAndCounted()
    {
        await using var upstream = await FakeUpstream.StreamingAsync(Delta("Hel"), "data: {\"choices\":[{\"delta\":\n\n", Delta("lo"), Finish, Counted, Done);
        var (_, text, attempt) = await ReadStreamAsync(upstream.Provider(), upstream);
        Assert.Equal("Hello", text);
        Assert.Equal(1, attempt.Meter.SkippedEvents);
    }

    public static TheoryData<string, string[], ErrorCode> BrokenStreams => new()
    {
        { "cut by reset", [Delta("Hel"), "!"], ErrorCode.ProviderError },
        { "clean end without a finish", [Delta("Hel")], ErrorCode.ProviderError },
        { "end mark without a finish", [Delta("Hel"), Done], ErrorCode.ProviderError },
        { "nothing at all", [": ping\n\n"], ErrorCode.ProviderError },
        { "error event", [Delta("Hel"), "data: {\"error\":{\"message\":\"key sk-planted1 at 10.0.0.9 is busy\",\"type\":\"server_overloaded\"}}\n\n"], ErrorCode.ProviderUnavailable },
    };

    [Theory]
    [MemberData(nameof(BrokenStreams))]
    public async Task SendAsync_BrokenStream_EndsWithAttemptFailed(string name, string[] pieces, ErrorCode expected)
    {
        Assert.NotEmpty(name);
        await using var upstream = await FakeUpstream.StreamingAsync(pieces);
        var (events, _, _) = await ReadStreamAsync(upstream.Provider(), upstream);
        var failed = Assert.IsType<AttemptFailed>(events[^1].Event);
        Assert.Equal(expected, failed.Error.Code);
        Assert.DoesNotContain("planted", failed.Error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("10.0.0.9", failed.Error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SendAsync_StreamEnded_ReusesConnection()
    {
        await using var upstream = await FakeUpstream.StreamingAsync(Delta("Hello") + Finish + Done);
        var provider = upstream.Provider();
        await ReadStreamAsync(provider);
        // The end of the bytes may come a moment after the end mark; a third stream is certain to find the connection back.
        await ReadStreamAsync(provider);
        await ReadStreamAsync(provider);
        Assert.True(upstream.Requests.Select(r => r.Connection).Distinct().Count() < 3);
    }

    [Fact]
    public async Task DisposeAsync_MidStream_AbortsConnectionImmediately()
    {
        await using var upstream = await FakeUpstream.StreamingAsync(Delta("Hel"), "…");
        var (source, _) = await OpenAsync(upstream.Provider(), Token);
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        await source.DisposeAsync();
        await upstream.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System, Token);
    }

    [Fact]
    public async Task ReadAsync_ReaderCancels_ThrowsAndAbortsConnection()
    {
        await using var upstream = await FakeUpstream.StreamingAsync(Delta("Hel"), "…");
        var (source, _) = await OpenAsync(upstream.Provider(), Token);
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        using var reader = new CancellationTokenSource();
        var waiting = source.ReadAsync(batch, reader.Token);
        await reader.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await waiting);
        await source.DisposeAsync();
        await upstream.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System, Token);
    }

    [Fact]
    public async Task SendAsync_CallerCancels_ThrowsAndAbortsConnection()
    {
        var reached = new TaskCompletionSource();
        await using var upstream = await FakeUpstream.StartAsync(async context =>
        {
            reached.SetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        });
        using var caller = new CancellationTokenSource();
        var sending = SendAsync(upstream.Provider(), Ask, caller.Token);
        await reached.Task.WaitAsync(Token);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
        await upstream.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System, Token);
    }

    [Fact]
    public async Task ReadAsync_StreamStalls_TimesOutAfterIdleTimeout()
    {
        var time = new FakeTimeProvider();
        await using var upstream = await FakeUpstream.StreamingAsync(Delta("Hel"), "…");
        var (source, _) = await OpenAsync(upstream.Provider(time), Token);
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        // A slow reader is not a stalled provider: the timeout runs only while a read is waiting.
        time.Advance(TimeSpan.FromSeconds(61));
        var waiting = source.ReadAsync(batch, Token).AsTask();
        time.Advance(TimeSpan.FromSeconds(59));
        Assert.False(waiting.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.True(await waiting);
        var failed = Assert.IsType<AttemptFailed>(batch.Items[0].Event);
        Assert.Equal(ErrorCode.ProviderTimeout, failed.Error.Code);
        Assert.False(await source.ReadAsync(batch, Token));
        await source.DisposeAsync();
    }

    [Theory]
    [InlineData(AskStream, 121)]
    [InlineData(Ask, 601)]
    public async Task SendAsync_NoResponse_TimesOut(string body, int seconds)
    {
        var time = new FakeTimeProvider();
        var reached = new TaskCompletionSource();
        await using var upstream = await FakeUpstream.StartAsync(async context =>
        {
            reached.SetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        });
        var sending = SendAsync(upstream.Provider(time), body);
        await reached.Task.WaitAsync(Token);
        time.Advance(TimeSpan.FromSeconds(seconds - 2));
        Assert.False(sending.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(2));
        var failed = Assert.IsType<GatewayReply.AttemptFailed>((await sending).Reply);
        Assert.Equal(ErrorCode.ProviderTimeout, failed.Error.Code);
        Assert.Equal(FailureClass.Failover, failed.Class);
        await upstream.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System, Token);
    }

    [Fact]
    public async Task SendAsync_RateLimited_ReturnsRetryAfter()
    {
        await using var upstream = await FakeUpstream.AnsweringAsync(429, """{"error":{"message":"slow down"}}""", headers: ("Retry-After", "3"));
        var failed = Assert.IsType<GatewayReply.AttemptFailed>((await SendAsync(upstream.Provider(), AskStream)).Reply);
        Assert.Equal(ErrorCode.RateLimitExceeded, failed.Error.Code);
        Assert.Equal(TimeSpan.FromSeconds(3), failed.Error.RetryAfter);
        Assert.Equal(429, failed.Status);
    }

    [Theory]
    [InlineData(502, "<html>gw-7.internal: bad gateway</html>", "text/html", FailureClassName.Retry)]
    [InlineData(302, "", "text/html", FailureClassName.Failover)]
    [InlineData(200, "<html>login</html>", "text/html", FailureClassName.Retry)]
    [InlineData(200, "{\"choices\":", "application/json", FailureClassName.Retry)]
    [InlineData(200, "", "application/json", FailureClassName.Retry)]
    [InlineData(200, """{"error":{"message":"no room on gw-7.internal","code":503}}""", "application/json", FailureClassName.Retry)]
    public async Task SendAsync_UnusableResponse_Fails(int status, string body, string type, string expected)
    {
        foreach (var ask in (string[])[Ask, AskStream])
        {
            await using var upstream = await FakeUpstream.AnsweringAsync(status, body, type, ("Location", "/elsewhere"));
            var reply = (await SendAsync(upstream.Provider(), ask)).Reply;
            GatewayError error;
            if (reply is GatewayReply.Streaming streaming)
            {
                // By what came and not by its label, so it is seen when it is read.
                error = Assert.IsType<AttemptFailed>((await InnerCall.ReadAllAsync(streaming.Events, Token))[^1]).Error;
            }
            else
            {
                var failed = Assert.IsType<GatewayReply.AttemptFailed>(reply);
                Assert.Equal(expected, failed.Class.ToString());
                error = failed.Error;
            }
            Assert.Equal(ErrorGroup.Provider, error.Definition.Group);
            Assert.DoesNotContain("internal", error.Message, StringComparison.Ordinal);
            Assert.Single(upstream.Requests);
        }
    }

    [Fact]
    public async Task SendAsync_ContentLengthAboveLimit_FailsWithoutReadingBody()
    {
        await using var upstream = await FakeUpstream.StartAsync(async context =>
        {
            context.Response.ContentLength = 65L * 1024 * 1024;
            await context.Response.WriteAsync("{", context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        });
        var failed = Assert.IsType<GatewayReply.AttemptFailed>((await SendAsync(upstream.Provider(), Ask)).Reply);
        Assert.Equal(ErrorCode.ProviderError, failed.Error.Code);
        await upstream.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System, Token);
    }

    [Fact]
    public async Task SendAsync_ConnectionRefused_IsProviderUnavailableAndNotSent()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        var provider = new OpenAiProvider("p", new ProviderConfig { Kind = "openai", BaseUrl = $"http://127.0.0.1:{port}/v1" }, OpenAiUpstream.Clients());
        var (reply, attempt, _) = await SendAsync(provider, Ask);
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(reply);
        Assert.Equal(ErrorCode.ProviderUnavailable, failed.Error.Code);
        Assert.Equal(FailureClass.Retry, failed.Class);
        Assert.False(attempt.Sent);
        Assert.DoesNotContain("127.0.0.1", failed.Error.Message, StringComparison.Ordinal);
    }

    /// <summary>A connection that is never ready, TLS being unanswered: what ends the wait, and that nothing was sent.</summary>
    [Theory]
    [InlineData(200, 60_000, "connection to the model's provider timed out")]
    [InlineData(30_000, 1_000, "did not complete its response in time")]
    public async Task SendAsync_ConnectionNeverReady_TimesOutPerDeploymentAndIsNotSent(int connectMs, int totalMs, string said)
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var time = new FakeTimeProvider();
        var config = new ProviderConfig { Kind = "openai", BaseUrl = $"https://{silent.LocalEndpoint}/v1", Timeouts = new ProviderTimeouts { Connect = TimeSpan.FromMinutes(1) } };
        var provider = new OpenAiProvider("p", config, OpenAiUpstream.Clients(time));
        var call = DialectCalls.Of(Chat, Ask);
        Assert.Null(Chat.Requests.Read(call, new RequestBounds()));
        var attempt = InnerCall.AttemptAt(provider, "gpt-x", new ProviderTimeouts { Connect = TimeSpan.FromMilliseconds(connectMs), Total = TimeSpan.FromMilliseconds(totalMs) });
        var sending = provider.SendAsync(call, attempt, Token).AsTask();
        using var accepted = await silent.AcceptTcpClientAsync(Token);
        time.Advance(TimeSpan.FromMilliseconds(Math.Min(connectMs, totalMs)));
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(await sending);
        Assert.Equal(ErrorCode.ProviderTimeout, failed.Error.Code);
        Assert.Contains(said, failed.Error.Message, StringComparison.Ordinal);
        Assert.Equal(FailureClass.Failover, failed.Class);
        Assert.False(attempt.Sent);
    }

    [Fact]
    public async Task SendAsync_Connected_ConnectTimeoutNoLongerApplies()
    {
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var upstream = await FakeUpstream.StartAsync(async context =>
        {
            await release.Task.WaitAsync(context.RequestAborted);
            context.Response.ContentType = "application/json";
            await context.Response.WriteAsync(Reply, context.RequestAborted);
        });
        var time = new FakeTimeProvider();
        var provider = upstream.Provider(time);
        var call = DialectCalls.Of(Chat, Ask);
        Assert.Null(Chat.Requests.Read(call, new RequestBounds()));
        var attempt = InnerCall.AttemptAt(provider, "gpt-x", new ProviderTimeouts { Connect = TimeSpan.FromMilliseconds(1) });
        var sending = provider.SendAsync(call, attempt, Token).AsTask();
        while (upstream.Requests.IsEmpty) await Task.Yield();
        time.Advance(TimeSpan.FromSeconds(30));
        release.SetResult();
        Assert.IsType<GatewayReply.NativeBody>(await sending).Body.Dispose();
        Assert.True(attempt.Sent);
    }

    [Fact]
    public async Task SendAsync_ConfiguredHeader_OverridesDefault()
    {
        await using var upstream = await FakeUpstream.AnsweringAsync(200, Reply);
        var provider = upstream.Provider(change: c => c with { Headers = new Dictionary<string, string> { ["user-agent"] = "ours/1", ["Accept"] = "application/json;q=0.5" } });
        Assert.IsType<GatewayReply.NativeBody>((await SendAsync(provider, Ask)).Reply).Body.Dispose();
        var headers = Assert.Single(upstream.Requests).Headers;
        Assert.Equal(("ours/1", "application/json;q=0.5"), (headers["User-Agent"], headers["Accept"]));
    }

    [Fact]
    public async Task SendAsync_AudioInput_IsCountedForNativeAndTranslated()
    {
        var reply = Reply.Replace("\"total_tokens\":12", "\"total_tokens\":12,\"prompt_tokens_details\":{\"audio_tokens\":5},\"completion_tokens_details\":{\"audio_tokens\":2}", StringComparison.Ordinal);
        await using var upstream = await FakeUpstream.AnsweringAsync(200, reply);
        var provider = upstream.Provider();
        var (sent, native, _) = await SendAsync(provider, Ask);
        Assert.IsType<GatewayReply.NativeBody>(sent).Body.Dispose();
        Assert.Equal(5, native.Meter.Reported!.Value.AudioInputTokens);
        var translated = InnerCall.AttemptAt(provider, "gpt-x");
        Assert.IsType<GatewayReply.Complete>(await provider.SendAsync(InnerCall.Of(InnerCall.Ask("hi")), translated, Token));
        Assert.Equal(5, translated.Meter.Reported!.Value.AudioInputTokens);
    }

    /// <summary>Counts that no model has: they are limited before anybody judges them, so that no sum of them overflows and no part exceeds its whole.</summary>
    [Theory]
    [InlineData("9223372036854775807", "9223372036854775807", "9223372036854775807")]
    [InlineData("-5", "-1", "7")]
    [InlineData("10", "1e300", "1000")]
    public async Task SendAsync_ImplausibleUsage_IsClamped(string input, string output, string cached)
    {
        var reply = Reply.Replace("\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}",
            $$$"""
            "usage":{"prompt_tokens":{{{input}}},"completion_tokens":{{{output}}},"total_tokens":12,"prompt_tokens_details":{"cached_tokens":{{{cached}}},"cache_write_tokens":{{{cached}}}}}
            """, StringComparison.Ordinal);
        await using var upstream = await FakeUpstream.AnsweringAsync(200, reply);
        var (sent, attempt, _) = await SendAsync(upstream.Provider(), Ask);
        Assert.IsType<GatewayReply.NativeBody>(sent).Body.Dispose();
        var usage = attempt.Meter.Reported!.Value;
        Assert.InRange(usage.InputTokens, 0, int.MaxValue);
        Assert.InRange(usage.OutputTokens, 0, int.MaxValue);
        Assert.True(usage.CachedInputTokens + usage.CacheWriteTokens <= usage.InputTokens);
        Assert.True(attempt.Deployment.Prices.At(default).CostOf(usage).Usd >= 0);
    }

    [Fact]
    public async Task SendAsync_OtherDialectNonStreaming_IsTranslated()
    {
        await using var upstream = await FakeUpstream.AnsweringAsync(200, Reply);
        var provider = upstream.Provider();
        var call = InnerCall.Of(InnerCall.Ask("hi"));
        var attempt = InnerCall.AttemptAt(provider, "gpt-x");
        var complete = Assert.IsType<GatewayReply.Complete>(await provider.SendAsync(call, attempt, Token));
        Assert.Equal("Hello", Assert.IsType<TextPart>(complete.Response.Choices[0].Parts[0]).Text);
        Assert.Equal(12, attempt.Meter.Reported!.Value.TotalTokens);
        Assert.Equal("""{"model":"gpt-x","messages":[{"role":"user","content":"hi"}]}""", upstream.Requests.First().Body);
    }

    [Fact]
    public async Task SendAsync_OtherDialectStreaming_IsTranslated()
    {
        await using var upstream = await FakeUpstream.StreamingAsync(Delta("Hel"), Delta("lo"), Finish, Counted, Done);
        var provider = upstream.Provider();
        var streaming = Assert.IsType<GatewayReply.Streaming>(await provider.SendAsync(InnerCall.Of(InnerCall.Ask("hi"), stream: true), InnerCall.AttemptAt(provider, "gpt-x"), Token));
        var events = await InnerCall.ReadAllAsync(streaming.Events, Token);
        Assert.Equal(["0 started", "0 text \"Hel\"", "0 text \"lo\"", "0 finished Stop", "0 usage in=5 cached=0 out=2 reasoning=0 measured"], EventText.Of(events).Select(e => e!.GetValue<string>()));
        Assert.True(JsonNode.Parse(upstream.Requests.First().Body)!["stream_options"]!["include_usage"]!.GetValue<bool>());
    }

    private static async Task<(GatewayReply Reply, Attempt Attempt, GatewayCall Call)> SendAsync(OpenAiProvider provider, string body, CancellationToken? token = null)
    {
        var call = DialectCalls.Of(Chat, body);
        Assert.Null(Chat.Requests.Read(call, new RequestBounds()));
        var attempt = InnerCall.AttemptAt(provider, "gpt-x");
        return (await provider.SendAsync(call, attempt, token ?? Token), attempt, call);
    }

    private static async Task<(IEventSource Source, Attempt Attempt)> OpenAsync(OpenAiProvider provider, CancellationToken token)
    {
        var (reply, attempt, _) = await SendAsync(provider, AskStream, token);
        return (Assert.IsType<GatewayReply.Streaming>(reply).Events, attempt);
    }

    private static async Task<(List<StreamItem> Items, string Text, Attempt Attempt)> ReadStreamAsync(OpenAiProvider provider, FakeUpstream? upstream = null)
    {
        var (source, attempt) = await OpenAsync(provider, Token);
        var items = new List<StreamItem>();
        var text = new StringBuilder();
        using var batch = new EventBatch();
        while (await source.ReadAsync(batch, Token))
        {
            foreach (var item in batch.Items)
            {
                items.Add(item);
                upstream?.Seen.Release();
                if (item.Event is not null || (item.Traits & NativeEventTraits.Content) == 0) continue;
                text.Append(JsonNode.Parse(batch.DataOf(item))!["choices"]![0]!["delta"]!["content"]!.GetValue<string>());
            }
        }
        Assert.False(await source.ReadAsync(batch, Token));
        await source.DisposeAsync();
        return (items, text.ToString(), attempt);
    }

    private static class FailureClassName
    {
        public const string Retry = nameof(FailureClass.Retry);
        public const string Failover = nameof(FailureClass.Failover);
    }
}

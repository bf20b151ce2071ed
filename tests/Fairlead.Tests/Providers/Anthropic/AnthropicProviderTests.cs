using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;
using Fairlead.Tests.Dialects;

namespace Fairlead.Tests.Providers.Anthropic;

public sealed class AnthropicProviderTests
{
    private const string Message = """{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Hello"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":7,"output_tokens_details":{"thinking_tokens":4}}}""";

    private const string Native = """{"model":"fast","max_tokens":9,"fairlead":{"class":"bulk"},"stream":STREAM,"unknown":{"x":1},"messages":[{"role":"user","content":"hi"}]}""";

    private static readonly string[] Stream =
    [
        """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}""",
        """{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"seal"}}""",
        """{"type":"content_block_stop","index":0}""",
        """{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}""",
        """{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi"}}""",
        """{"type":"content_block_stop","index":1}""",
        """{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}""",
        """{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}""",
        """{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}""",
        """{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}""",
        """{"type":"content_block_stop","index":2}""",
        """{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}}""",
        """{"type":"content_block_stop","index":3}""",
        """{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":20,"output_tokens_details":{"thinking_tokens":3}}}""",
        """{"type":"message_stop"}""",
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static GatewayCall NativeCall(bool stream, string? version = null, string? beta = null)
    {
        var dialect = MessagesDialect.Create();
        var call = DialectCalls.Of(dialect, Native.Replace("STREAM", stream ? "true" : "false", StringComparison.Ordinal));
        call.AnthropicVersion = version;
        call.AnthropicBeta = beta;
        Assert.Null(dialect.Requests.Read(call, new RequestBounds()));
        return call;
    }

    private static GatewayCall Inner(bool stream = false, ConversationRequest? request = null)
    {
        var call = InnerCall.Of(request ?? InnerCall.Ask("Hi"), stream);
        call.Model = AnthropicRequestTests.Model;
        return call;
    }

    [Theory]
    [InlineData(null, "2023-06-01")]
    [InlineData("2026-10-21", "2026-10-21")]
    public async Task Send_Native_ForwardsBodyAndHeaders(string? version, string sent)
    {
        await using var server = await FakeAnthropic.AnswerAsync(Message);
        var attempt = InnerCall.AttemptAt(server.Provider, "claude-sonnet-5");

        var reply = await server.Provider.SendAsync(NativeCall(false, version, "beta-a,beta-b"), attempt, Token);

        using var body = Assert.IsType<GatewayReply.NativeBody>(reply).Body;
        Assert.Equal(Message, Encoding.UTF8.GetString(body.WrittenSpan));
        Assert.Equal((15L, 7L, FinishReason.ToolCalls), (attempt.Meter.Reported!.Value.InputTokens, attempt.Meter.Reported.Value.OutputTokens, attempt.Meter.FinishReason!.Value));
        var seen = server.Requests.First();
        Assert.Equal(("/v1/messages", "sk-ant-secret", sent, "beta-a,beta-b"), (seen.Path + seen.Query, seen.Headers["x-api-key"], seen.Headers["anthropic-version"], seen.Headers["anthropic-beta"]));
        Assert.Equal("""{"model":"claude-sonnet-5","max_tokens":9,"stream":false,"unknown":{"x":1},"messages":[{"role":"user","content":"hi"}]}""", JsonNode.Parse(seen.Body)!.ToJsonString());
    }

    [Fact]
    public async Task Send_NativeStream_ForwardsEventsWithoutPings()
    {
        await using var server = await FakeAnthropic.StreamAsync(Stream);
        var attempt = InnerCall.AttemptAt(server.Provider, "claude-sonnet-5");
        var reply = await server.Provider.SendAsync(NativeCall(true), attempt, Token);
        var source = Assert.IsType<GatewayReply.Streaming>(reply).Events;
        using var batch = new EventBatch();
        var events = new List<string>();
        while (await source.ReadAsync(batch, Token))
        {
            foreach (var item in batch.Items) events.Add(Encoding.UTF8.GetString(batch.DataOf(item)));
        }
        await source.DisposeAsync();
        Assert.Equal(Stream, events);
        Assert.Equal(20, attempt.Meter.Reported!.Value.OutputTokens);
    }

    [Fact]
    public async Task Send_Translated_ReturnsResponseAndUsage()
    {
        await using var server = await FakeAnthropic.AnswerAsync(Message);
        var attempt = InnerCall.AttemptAt(server.Provider, "claude-sonnet-5");
        var reply = await server.Provider.SendAsync(Inner(), attempt, Token);
        var choice = Assert.Single(Assert.IsType<GatewayReply.Complete>(reply).Response.Choices);
        Assert.Equal([new ReasoningPart("hm", "s"), new TextPart("Hello"), new ToolCallPart("toolu_1", "f", "{\"a\":1}")], choice.Parts);
        Assert.Equal(FinishReason.ToolCalls, choice.FinishReason);
        var usage = attempt.Meter.Reported!.Value;
        Assert.Equal((15L, 3L, 2L, 7L, 4L), (usage.InputTokens, usage.CachedInputTokens, usage.CacheWriteTokens, usage.OutputTokens, usage.ReasoningTokens));
        var seen = server.Requests.First();
        Assert.Equal("2026-10-21", seen.Headers["anthropic-version"]);
    }

    [Fact]
    public async Task Send_TranslatedStream_MapsContentBlocksToEvents()
    {
        await using var server = await FakeAnthropic.StreamAsync(Stream);
        var events = await ReadAsync(server);
        Assert.Equal(
            [
                "0 started", "0 usage in=15 cached=5 out=1 reasoning=0 measured", "0 reasoning \"hm\" []", "0 reasoning \"\" [seal]", "0 text \"Hi\"",
                "0 call 0 toolu_1 f []", "0 arguments 0 {\"a\":", "0 arguments 0 1}", "0 call 1 toolu_2 g []", "0 arguments 1 {}",
                "0 usage in=15 cached=5 out=20 reasoning=3 measured", "0 finished ToolCalls",
            ],
            EventText.Of(events).Select(e => (string)e!));
    }

    [Fact]
    public async Task Stream_OverloadedMidway_EndsWithRedactedError()
    {
        await using var server = await FakeAnthropic.StreamAsync([.. Stream[..7], """{"type":"error","error":{"type":"overloaded_error","message":"Overloaded at 10.0.0.7 with sk-ant-secret"}}"""]);
        var error = Assert.IsType<AttemptFailed>((await ReadAsync(server))[^1]).Error;
        Assert.Equal(ErrorCode.ProviderUnavailable, error.Code);
        Assert.DoesNotContain("sk-ant", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(15)]
    public async Task Stream_TruncatedBeforeFinish_EndsWithAttemptFailed(int events)
    {
        await using var server = await FakeAnthropic.StreamAsync(Stream[..events]);
        Assert.IsType<AttemptFailed>((await ReadAsync(server))[^1]);
    }

    [Fact]
    public async Task Stream_WithoutMessageStopEvent_EndsNormally()
    {
        await using var server = await FakeAnthropic.StreamAsync(Stream[..^1]);
        Assert.IsType<ChoiceFinished>((await ReadAsync(server))[^1]);
    }

    [Fact]
    public async Task Stream_MalformedEvent_IsSkippedAndCounted()
    {
        await using var server = await FakeAnthropic.StreamAsync([.. Stream[..3], "{oops", .. Stream[3..]]);
        var attempt = InnerCall.AttemptAt(server.Provider, "claude-sonnet-5");
        Assert.IsType<ChoiceFinished>((await ReadAsync(server, attempt))[^1]);
        Assert.Equal(1, attempt.Meter.SkippedEvents);
    }

    public static TheoryData<int, string, string, string, string> Errors => new()
    {
        { 400, "invalid_request_error", "temperature: not supported", "provider_rejected", "GiveBack" },
        { 400, "invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum", "context_length_exceeded", "GiveBack" },
        { 401, "authentication_error", "invalid x-api-key", "provider_error", "Failover" },
        { 402, "billing_error", "pay", "provider_unavailable", "Failover" },
        { 403, "permission_error", "no", "provider_error", "Failover" },
        { 404, "not_found_error", "model: x", "provider_error", "Failover" },
        { 413, "request_too_large", "too large", "payload_too_large", "GiveBack" },
        { 500, "api_error", "oops", "provider_error", "Retry" },
        { 504, "timeout_error", "late", "provider_timeout", "Retry" },
        { 529, "overloaded_error", "Overloaded", "provider_unavailable", "Retry" },
    };

    [Theory]
    [MemberData(nameof(Errors))]
    public async Task Send_ApiError_IsClassified(int status, string type, string message, string code, string failureClass)
    {
        await using var server = await FakeAnthropic.AnswerAsync($$$"""{"type":"error","error":{"type":"{{{type}}}","message":"{{{message}}}"},"request_id":"req_up"}""", status, "3");
        var reply = await server.Provider.SendAsync(NativeCall(false), InnerCall.AttemptAt(server.Provider, "claude-sonnet-5"), Token);
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(reply);
        Assert.Equal((code, failureClass, (int?)status), (failed.Error.Definition.Name, failed.Class.ToString(), failed.Status));
        if (failed.Class == FailureClass.Retry) Assert.Equal(TimeSpan.FromSeconds(3), failed.Error.RetryAfter);
    }

    [Theory]
    [InlineData("<html>")]
    [InlineData("{}")]
    [InlineData("""{"type":"message","content":[{"type":"text","text":"cut"}],"stop_reason":nu""")]
    public async Task Send_InvalidResponseBody_Fails(string body)
    {
        await using var server = await FakeAnthropic.AnswerAsync(body);
        foreach (var call in new[] { NativeCall(false), Inner() })
        {
            var reply = await server.Provider.SendAsync(call, InnerCall.AttemptAt(server.Provider, "claude-sonnet-5"), Token);
            Assert.Equal(ErrorCode.ProviderError, Assert.IsType<GatewayReply.AttemptFailed>(reply).Error.Code);
        }
    }

    [Fact]
    public async Task Send_CountTokens_CallsCountTokensEndpoint()
    {
        await using var server = await FakeAnthropic.AnswerAsync("""{"input_tokens":2095}""");
        var dialect = CountTokensDialect.Create();
        var call = DialectCalls.Of(dialect, """{"model":"fast","messages":[{"role":"user","content":"hi"}]}""");
        Assert.Null(dialect.Requests.Read(call, new RequestBounds()));
        var reply = await server.Provider.SendAsync(call, InnerCall.AttemptAt(server.Provider, "claude-sonnet-5"), Token);
        Assert.Equal(2095, Assert.IsType<GatewayReply.Counted>(reply).InputTokens);
        var seen = server.Requests.First();
        Assert.Equal("/v1/messages/count_tokens", seen.Path);
    }

    [Fact]
    public async Task Send_FeatureAnthropicDoesNotSupport_IsRefusedBeforeSending()
    {
        await using var server = await FakeAnthropic.AnswerAsync("{}");
        var attempt = InnerCall.AttemptAt(server.Provider, "claude-sonnet-5");
        var reply = await server.Provider.SendAsync(Inner(request: InnerCall.Ask("Hi") with { ChoiceCount = 2 }), attempt, Token);
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(reply);
        Assert.Equal((ErrorCode.UnsupportedParameter, "n", FailureClass.Failover), (failed.Error.Code, failed.Error.Parameter, failed.Class));
        Assert.False(attempt.Sent);
        Assert.Empty(server.Requests);
    }

    private static async Task<List<GenerationEvent>> ReadAsync(FakeAnthropic server, Attempt? attempt = null)
    {
        var reply = await server.Provider.SendAsync(Inner(stream: true), attempt ?? InnerCall.AttemptAt(server.Provider, "claude-sonnet-5"), Token);
        return await InnerCall.ReadAllAsync(Assert.IsType<GatewayReply.Streaming>(reply).Events, Token);
    }
}

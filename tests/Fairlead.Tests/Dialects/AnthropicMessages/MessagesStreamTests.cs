using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Dialects.AnthropicMessages;

public sealed class MessagesStreamTests
{
    private static readonly Dialect Dialect = MessagesDialect.Create();

    private const string Request = """{"model":"fast","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}]}""";

    private static readonly string[] Native =
    [
        """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-up","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":4},"output_tokens":1}},"later":true}""",
        """{"type":"ping"}""",
        """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}""",
        "{\"type\":\"content_block_delta\",\n\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"H\\u00e9llo\"}}",
        """{"type":"content_block_stop","index":0}""",
        """{"type":"brand_new","x":1}""",
        """{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":12,"output_tokens_details":{"thinking_tokens":4}}}""",
        """{"type":"message_stop","own":7}""",
    ];

    private static string Names(string stream) => string.Join(' ', stream.Split('\n').Where(l => l.StartsWith("event: ", StringComparison.Ordinal)).Select(l => l[7..]));

    [Fact]
    public void NativeStream_Events_AreNumberedAndOtherwiseUnchanged()
    {
        var call = DialectCalls.Answered(Dialect, Request);
        var stream = DialectCalls.NativeStream(Dialect, call, Native.Select(e => new[] { e }), () => call.End());
        Assert.Equal("message_start content_block_start content_block_delta content_block_stop brand_new message_delta message_stop", Names(stream));
        var events = DialectCalls.Events(stream);
        Assert.Equal(Enumerable.Range(0, 7), events.Select(e => (int)e["sequence_number"]!));
        Assert.Equal(7, stream.Split('\n').Count(l => l.StartsWith("id: ", StringComparison.Ordinal)));
        Assert.Equal("fast", (string?)events[0]["message"]!["model"]);
        Assert.True((bool?)events[0]["later"]);
        Assert.Equal(DialectCalls.GenerationId, (string?)events[0]["fairlead"]!["generation_id"]);
        Assert.Null(events[0]["fairlead"]!["outcome"]);
        Assert.Equal("Héllo", (string?)events[2]["delta"]!["text"]);
        Assert.Equal(7, (int?)events[^1]["own"]);
        Assert.Equal("complete", (string?)events[^1]["fairlead"]!["outcome"]);
        Assert.Equal(12, (int?)events[^2]["usage"]!["output_tokens"]);
    }

    [Fact]
    public void NativeStream_Events_AreMetered()
    {
        var call = DialectCalls.Answered(Dialect, Request);
        DialectCalls.NativeStream(Dialect, call, [Native], () => call.End());
        var meter = call.Answering!.Meter;
        var usage = meter.Reported!.Value;
        Assert.Equal(new Usage(18, 12) { CachedInputTokens = 3, CacheWriteTokens = 5, LongCacheWriteTokens = 4, ReasoningTokens = 4, Basis = Basis.Measured }, usage);
        Assert.Equal((FinishReason.Stop, "claude-up", 6L, true), (meter.FinishReason!.Value, meter.UpstreamModel, meter.OutputBytes, meter.HasContent));
    }

    [Fact]
    public void NativeStream_WithoutExtensions_HasNoGatewayFields()
    {
        var call = DialectCalls.Answered(Dialect, Request, extensions: false);
        var stream = DialectCalls.NativeStream(Dialect, call, [Native], () => call.End());
        Assert.DoesNotContain("sequence_number", stream, StringComparison.Ordinal);
        Assert.DoesNotContain("fairlead", stream, StringComparison.Ordinal);
        Assert.DoesNotContain("id: ", stream, StringComparison.Ordinal);
        Assert.EndsWith("event: message_stop\ndata: {\"type\":\"message_stop\",\"own\":7}\n\n", stream, StringComparison.Ordinal);
    }

    [Fact]
    public void NativeStream_WithoutMessageStop_StillEndsWithIt()
    {
        var call = DialectCalls.Answered(Dialect, Request);
        var stream = DialectCalls.NativeStream(Dialect, call, [Native[..^1]], () => call.End());
        Assert.EndsWith("message_delta message_stop", Names(stream), StringComparison.Ordinal);
    }

    [Fact]
    public void NativeStream_Breaks_EndsWithErrorAndNoMessageStop()
    {
        var call = DialectCalls.Answered(Dialect, Request);
        var error = new GatewayError(ErrorCode.ProviderUnavailable, "No room.");
        var stream = DialectCalls.NativeStream(Dialect, call, [Native[..4]], () => call.End(Outcome.ProviderLost, error));
        Assert.Equal("message_start content_block_start content_block_delta error", Names(stream));
        var last = DialectCalls.Events(stream)[^1];
        Assert.Equal(("error", "overloaded_error", "No room.", "req_1"), ((string?)last["type"], (string?)last["error"]!["type"], (string?)last["error"]!["message"], (string?)last["request_id"]));
        Assert.Equal("provider_lost", (string?)last["fairlead"]!["outcome"]);
    }

    [Theory]
    [InlineData(nameof(Outcome.ProviderLost), "api_error")]
    [InlineData(nameof(Outcome.Deadline), "timeout_error")]
    [InlineData(nameof(Outcome.Cancelled), "api_error")]
    public void End_NoResponseAndNoError_WritesErrorEvent(string outcome, string type)
    {
        var call = DialectCalls.Answered(Dialect, Request);
        var last = DialectCalls.Events(DialectCalls.Stream(Dialect, call, [new TextDelta("x")], () => call.End(Enum.Parse<Outcome>(outcome))))[^1];
        Assert.Equal(type, (string?)last["error"]!["type"]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{oops")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("""{"type":"ping"}{"type":"ping"}""")]
    public void Scan_MalformedEvent_IsSkippedAndCounted(string data)
    {
        var meter = new OutputMeter();
        Assert.Null(Dialect.Native!.Streams!.CreateScanner(meter).Scan("ping"u8, Encoding.UTF8.GetBytes(data), out var error));
        Assert.Null(error);
        Assert.Equal(1, meter.SkippedEvents);
    }

    [Fact]
    public void Scan_ErrorEvent_ReturnsError()
    {
        Dialect.Native!.Streams!.CreateScanner(new OutputMeter()).Scan("error"u8, """{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"""u8, out var error);
        Assert.Equal(("overloaded_error", "Overloaded"), (error!.Type, error.Message));
    }

    [Theory]
    [InlineData("end_turn", nameof(FinishReason.Stop))]
    [InlineData("stop_sequence", nameof(FinishReason.Stop))]
    [InlineData("pause_turn", nameof(FinishReason.Stop))]
    [InlineData("max_tokens", nameof(FinishReason.Length))]
    [InlineData("model_context_window_exceeded", nameof(FinishReason.Length))]
    [InlineData("tool_use", nameof(FinishReason.ToolCalls))]
    [InlineData("refusal", nameof(FinishReason.ContentFilter))]
    public void Scan_StopReason_IsMapped(string reason, string expected)
    {
        var meter = new OutputMeter();
        var scanner = Dialect.Native!.Streams!.CreateScanner(meter);
        if (reason == "tool_use") scanner.Scan(default, """{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"""u8, out _);
        var scanned = scanner.Scan(default, Encoding.UTF8.GetBytes($$$"""{"type":"message_delta","delta":{"stop_reason":"{{{reason}}}"}}"""), out _);
        Assert.Equal(NativeEventTraits.Finish, scanned!.Value.Traits);
        Assert.Equal(Enum.Parse<FinishReason>(expected), meter.FinishReason);
    }

    [Fact]
    public void Translated_Stream_OpensAndClosesBlocksWhenTypeChanges()
    {
        var call = DialectCalls.Answered(Dialect, Request);
        call.InputEstimate = new TokenEstimate(9, Basis.Estimated);
        var stream = DialectCalls.Stream(
            Dialect,
            call,
            [
                new ResponseStarted(), new ReasoningDelta("hm"), new ReasoningDelta("") { Signature = "foreign" }, new TextDelta(""), new TextDelta("Hi "), new TextDelta("there"),
                new ToolCallStarted(0, "call_a", "f"), new ToolCallDelta(0, "{\"q\":"), new ToolCallDelta(0, "1}"),
                new ToolCallStarted(1, "call_b", "g"), new TextDelta("done"), new ChoiceFinished(FinishReason.Stop),
            ],
            () => call.End());
        var events = DialectCalls.Events(stream);
        Assert.Equal(
            "message_start content_block_start content_block_delta content_block_stop content_block_start content_block_delta content_block_delta content_block_stop "
            + "content_block_start content_block_delta content_block_delta content_block_stop content_block_start content_block_stop content_block_start content_block_delta "
            + "content_block_stop message_delta message_stop",
            Names(stream));
        var start = events[0]["message"]!;
        Assert.Equal(("msg_01KAR1X2Y3Z4A5B6C7D8E9F0GH", "fast", 9), ((string?)start["id"], (string?)start["model"], (int)start["usage"]!["input_tokens"]!));
        Assert.Equal("""{"type":"thinking","thinking":"","signature":""}""", events[1]["content_block"]!.ToJsonString());
        Assert.Equal("""{"type":"tool_use","id":"call_a","name":"f","input":{},"caller":{"type":"direct"}}""", events[8]["content_block"]!.ToJsonString());
        Assert.Equal([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4], events[1..^2].Select(e => (int)e["index"]!));
        Assert.Equal("tool_use", (string?)events[^2]["delta"]!["stop_reason"]);
        Assert.Equal((7, 4, 7), ((int)events[^2]["usage"]!["input_tokens"]!, (int)events[^2]["usage"]!["cache_read_input_tokens"]!, (int)events[^2]["usage"]!["output_tokens"]!));
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(e => (int)e["sequence_number"]!));
    }

    [Fact]
    public void Translated_InterleavedToolCalls_AreSerializedInOrder()
    {
        var call = DialectCalls.Answered(Dialect, Request);
        var stream = DialectCalls.Stream(
            Dialect,
            call,
            [
                new ToolCallStarted(0, "a", "f"), new ToolCallStarted(1, "b", "g"), new ToolCallDelta(1, "{\"y\":"), new ToolCallDelta(0, "{\"x\":\"}\\\""), new ToolCallDelta(1, "2}"),
                new ToolCallDelta(0, "\"}"), new ToolCallStarted(2, "c", "h"), new ToolCallDelta(2, "{}"), new ChoiceFinished(FinishReason.ToolCalls),
            ],
            () => call.End(Outcome.ToolCalls));
        var arguments = new Dictionary<int, string>();
        int? open = null;
        foreach (var e in DialectCalls.Events(stream))
        {
            var index = (int?)e["index"];
            switch ((string?)e["type"])
            {
                case "content_block_start": Assert.Null(open); open = index; arguments[index!.Value] = ""; break;
                case "content_block_delta": Assert.Equal(open, index); arguments[index!.Value] += (string?)e["delta"]!["partial_json"]; break;
                case "content_block_stop": Assert.Equal(open, index); open = null; break;
            }
        }
        Assert.Equal(["{\"x\":\"}\\\"\"}", "{\"y\":2}", "{}"], arguments.OrderBy(a => a.Key).Select(a => a.Value));
    }

    [Fact]
    public void Translated_Refusal_BecomesTextWithRefusalStopReason()
    {
        var call = DialectCalls.Answered(Dialect, Request);
        var events = DialectCalls.Events(DialectCalls.Stream(Dialect, call, [new RefusalDelta("No."), new ChoiceFinished(FinishReason.Stop)], () => call.End()));
        Assert.Equal(("No.", "refusal"), ((string?)events[2]["delta"]!["text"], (string?)events[^2]["delta"]!["stop_reason"]));
    }

    [Fact]
    public void Reply_NativeBody_KeepsFieldsAndReplacesModel()
    {
        const string Body = """{"id":"msg_1","type":"message","role":"assistant","model":"claude-up","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2},"later":[1]} """;
        var call = DialectCalls.Answered(Dialect, Request);
        Assert.True(DialectCalls.Scan(Dialect, Encoding.UTF8.GetBytes(Body), call.Answering!.Meter));
        Assert.Equal((3, 2, 2), ((int)call.Answering.Meter.Reported!.Value.InputTokens, (int)call.Answering.Meter.Reported.Value.OutputTokens, (int)call.Answering.Meter.OutputBytes));
        call.End();
        using var buffer = new PooledBuffer();
        buffer.Write(Encoding.UTF8.GetBytes(Body));
        var reply = JsonNode.Parse(DialectCalls.Reply(Dialect, call, new GatewayReply.NativeBody(buffer)))!.AsObject();
        Assert.Equal("complete", (string?)reply["fairlead"]!["outcome"]);
        reply.Remove("fairlead");
        Assert.Equal(Body.Replace("claude-up", "fast", StringComparison.Ordinal).Trim(), reply.ToJsonString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"type":"message","content":[],"stop_reason":null}""")]
    [InlineData("""{"type":"error","error":{"type":"api_error","message":"x"}}""")]
    [InlineData("""{"type":"message","content":[""")]
    public void TryScan_IncompleteMessage_ReturnsFalse(string body) => Assert.False(DialectCalls.Scan(Dialect, Encoding.UTF8.GetBytes(body), new OutputMeter()));

    [Fact]
    public void Reply_CompleteResponse_HasEveryMessageField()
    {
        var call = DialectCalls.Answered(Dialect, Request, extensions: false);
        call.End(Outcome.ToolCalls);
        var answer = new ModelResponse([new OutputChoice(0,
            [new ReasoningPart("hm", "seal"), new TextPart("Hi"), new ToolCallPart("c1", "f", "{\"a\": 1}"), new ToolCallPart("c2", "g", ""), new ToolCallPart("c3", "h", "[oops")],
            FinishReason.ToolCalls)]);
        var reply = DialectCalls.Reply(Dialect, call, new GatewayReply.Complete(answer));
        var expected = """
            {"id":"msg_01KAR1X2Y3Z4A5B6C7D8E9F0GH","type":"message","role":"assistant","model":"fast",
            "content":[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"Hi"},{"type":"tool_use","id":"c1","name":"f","input":{"a":1},"caller":{"type":"direct"}},
            {"type":"tool_use","id":"c2","name":"g","input":{},"caller":{"type":"direct"}},{"type":"tool_use","id":"c3","name":"h","input":{"invalid_arguments":"[oops"},"caller":{"type":"direct"}}],
            "stop_reason":"tool_use","stop_sequence":null,"stop_details":null,"container":null,
            "usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},
            "output_tokens":7,"output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null,"speed":null,"inference_geo":null}}
            """;
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), JsonNode.Parse(reply)), reply);
        Assert.Contains(call.Warnings, w => w.Code == "invalid_tool_arguments");
    }

    [Fact]
    public void Reply_TokenCount_HasOnlyInputTokens()
    {
        var dialect = CountTokensDialect.Create();
        var call = DialectCalls.Of(dialect, Request);
        Assert.Equal("""{"input_tokens":42}""", DialectCalls.Reply(dialect, call, new GatewayReply.Counted(42)));
    }

    [Fact]
    public void Conversation_RichRequest_KeepsEverything()
    {
        var rich = MessagesRequestReaderTests.Rich
            .Replace("""{"type": "container_upload", "file_id": "file_1"}""", """{"type": "text", "text": "last"}""", StringComparison.Ordinal)
            .Replace(",\n    {\"type\": \"web_search_20250305\", \"name\": \"web_search\", \"max_uses\": 3}", "", StringComparison.Ordinal);
        var call = DialectCalls.Of(Dialect, rich);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        var conversation = call.Conversation;
        Assert.Equal([Role.System, Role.User, Role.Assistant, Role.Tool, Role.User, Role.Assistant], conversation.Messages.Select(m => m.Role));
        Assert.Equal("1h", (string?)conversation.Messages[0].Parts[0].CacheHint!["ttl"]);
        var assistant = conversation.Messages[2].Parts;
        Assert.Equal(new ReasoningPart("hm", "c2ln"), assistant[0]);
        Assert.Equal("eA==", Assert.IsType<ReasoningPart>(assistant[1]).Redacted);
        Assert.Equal(new ToolCallPart("toolu_1", "look_up", """{"q": "a \"b\""}"""), assistant[3]);
        var failed = Assert.IsType<ToolResultPart>(conversation.Messages[3].Parts[1]);
        Assert.Equal(("toolu_1", true, "look_up"), (failed.CallId, failed.IsError, failed.Name));
        Assert.IsType<ImagePart>(Assert.IsType<ToolResultPart>(conversation.Messages[3].Parts[0]).Content[1]);
        Assert.Equal((2048, 5, "high", 1024, "enabled", "summarized"), (conversation.MaxOutputTokens!.Value, conversation.Sampling.TopK!.Value, conversation.Reasoning!.Effort,
            conversation.Reasoning.BudgetTokens!.Value, conversation.Reasoning.Mode, conversation.Reasoning.Display));
        Assert.Equal((OutputKind.JsonSchema, "u-1", false), (conversation.OutputFormat.Kind, conversation.EndUser, conversation.ParallelToolCalls!.Value));
        Assert.Equal(["END", "\n\nHuman:"], conversation.Sampling.Stop);
        Assert.True(Assert.Single(conversation.Tools).Strict);
        Assert.Equal(["metadata", "service_tier", "speed", "unknown_field"], conversation.Extra!.Select(e => e.Key).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("""  "tools":[{"type":"bash_20250124","name":"bash"}]""", "tools[0]")]
    [InlineData("""  "mcp_servers":[{"type":"url","url":"https://x"}]""", "mcp_servers")]
    [InlineData("""  "container":"c1" """, "container")]
    [InlineData("""  "inference_geo":"eu" """, "inference_geo")]
    [InlineData("""  "system":[{"type":"text","text":"a"}],"max_tokens":0""", "max_tokens")]
    public void Conversation_UntranslatableField_IsRefused(string members, string parameter)
    {
        var cap = members.Contains("max_tokens", StringComparison.Ordinal) ? "" : "\"max_tokens\":5,";
        var call = DialectCalls.Of(Dialect, $$"""{"model":"m",{{cap}}"messages":[{"role":"user","content":"hi"}],{{members}}}""");
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        var refused = Assert.Throws<GatewayErrorException>(() => call.Conversation);
        Assert.Equal((ErrorCode.UnsupportedParameter, parameter), (refused.Error.Code, refused.Error.Parameter));
    }
}

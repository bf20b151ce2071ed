using System.Text;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Fairlead.Tests.Common;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Dialects.OpenAiResponses;

public sealed class ResponsesReplyTests
{
    private static readonly Dialect Dialect = ResponsesDialect.Create();

    [Fact]
    public void Reply_FullResponse_HasEveryField()
    {
        var call = DialectCalls.Answered(Dialect, """{"model":"fast","input":"hi","instructions":"brief","metadata":{"a":"b"},"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}},"reasoning":{"effort":"low","summary":"auto"},"max_output_tokens":50,"store":false}""", extensions: false);
        call.End(Outcome.ToolCalls);
        var answer = new ModelResponse([new OutputChoice(0, [new ReasoningPart("hm", "sig"), new TextPart("Hello"), new RefusalPart("no"), new ToolCallPart("c1", "f", "{}")], FinishReason.ToolCalls)
        {
            Logprobs = [new TokenLogprob("Hello", double.NegativeInfinity, [])],
        }]);
        GoldenFile.Matches("reply.json", DialectCalls.Reply(Dialect, call, new GatewayReply.Complete(answer)));
    }

    [Fact]
    public void Reply_Truncated_MarksLastItemIncomplete()
    {
        var call = DialectCalls.Answered(Dialect, """{"model":"fast","input":"hi"}""", extensions: false);
        call.End(Outcome.ContentFilter);
        var reply = DialectCalls.Reply(Dialect, call, new GatewayReply.Complete(new ModelResponse([new OutputChoice(0, [new TextPart("Hel")], FinishReason.ContentFilter)])));
        Assert.Contains("\"status\":\"incomplete\",\"completed_at\":null,\"error\":null,\"incomplete_details\":{\"reason\":\"content_filter\"}", reply, StringComparison.Ordinal);
        Assert.Contains("\"type\":\"message\",\"status\":\"incomplete\"", reply, StringComparison.Ordinal);
    }

    [Fact]
    public void Reply_NativeProvider_KeepsUnknownFieldsAndHidesProviderIds()
    {
        var body = """{"id":"resp_upstream","object":"response","created_at":1,"status":"completed","model":"gpt-x-2026","new_member":[1],"fairlead":{"theirs":true},"output":[{"id":"rs_upstream","type":"reasoning","summary":[],"encrypted_content":"gAAA"},{"id":"fc_upstream","type":"function_call","call_id":"c1","name":"f","arguments":"{}","status":"completed"}],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":3},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":13}}""";
        var call = DialectCalls.Answered(Dialect, """{"model":"fast","input":"hi"}""", extensions: false);
        var meter = call.Answering!.Meter;
        Assert.True(DialectCalls.Scan(Dialect, Encoding.UTF8.GetBytes(body), meter));
        Assert.Equal(FinishReason.ToolCalls, meter.FinishReason);
        Assert.Equal(new Fairlead.Conversation.Usage(9, 4) { CachedInputTokens = 3, ReasoningTokens = 2 }, meter.Reported);
        call.End(Outcome.ToolCalls);
        using var native = new PooledBuffer();
        native.Write(Encoding.UTF8.GetBytes(body));
        var reply = DialectCalls.Reply(Dialect, call, new GatewayReply.NativeBody(native));
        GoldenFile.Matches("native-reply.json", reply);
        Assert.DoesNotContain("upstream", reply, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"object":"response","status":"failed","output":[]}""")]
    [InlineData("""{"object":"response","status":"in_progress","output":[]}""")]
    [InlineData("""{"object":"response","status":"completed","output":[7]}""")]
    [InlineData("""{"object":"chat.completion","status":"completed","output":[]}""")]
    [InlineData("nothing")]
    [InlineData("[]")]
    public void TryScan_NotAResponse_ReturnsFalse(string body) => Assert.False(DialectCalls.Scan(Dialect, Encoding.UTF8.GetBytes(body), new OutputMeter()));
}

using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Tests.Common;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Dialects.OpenAiChat;

public sealed class ChatReplyTests
{
    private static readonly Dialect Dialect = OpenAiChatDialect.Create();

    private static string Complete(ModelResponse answer, bool extensions = true, string more = "")
    {
        var call = DialectCalls.Answered(Dialect, $$"""{"model":"fast","messages":[{"role":"user","content":"hi"}]{{more}}}""", extensions);
        call.End();
        return DialectCalls.Reply(Dialect, call, new GatewayReply.Complete(answer));
    }

    private static string Native(string body, bool extensions = true)
    {
        var call = DialectCalls.Answered(Dialect, """{"model":"fast","messages":[{"role":"user","content":"hi"}]}""", extensions);
        call.End();
        var buffer = new PooledBuffer();
        buffer.Write(Encoding.UTF8.GetBytes(body));
        using (buffer) return DialectCalls.Reply(Dialect, call, new GatewayReply.NativeBody(buffer));
    }

    [Fact]
    public void WriteReply_AllPartTypes_MatchGoldenFile() => GoldenFile.Matches("reply.json", Complete(
        new ModelResponse(
        [
            new OutputChoice(0, [new ReasoningPart("Hm.", "sealed"), new TextPart("Hello "), new TextPart("\"you\""), new ToolCallPart("c1", "look", "{}"), new ToolCallPart("c2", "run", "ls") { Kind = ToolKind.Custom }], FinishReason.ToolCalls)
            {
                Annotations = [new JsonObject { ["type"] = "url_citation" }],
                Logprobs = [new TokenLogprob("Hello", -0.5, []) { Bytes = [72] }],
            },
            new OutputChoice(1, [new RefusalPart("No.")], FinishReason.Stop),
            new OutputChoice(2, [], FinishReason.ContentFilter) { Audio = new JsonObject { ["id"] = "audio_1" } },
        ])
        {
            SystemFingerprint = "fp",
            ServiceTier = "default",
        }));

    [Fact]
    public void WriteReply_ExtensionsOff_AddsNothing()
    {
        var reply = JsonNode.Parse(Complete(new ModelResponse([new OutputChoice(0, [new TextPart("x")], FinishReason.Stop)]), extensions: false))!.AsObject();
        Assert.Equal(["id", "object", "created", "model", "choices", "usage"], reply.Select(m => m.Key));
        Assert.Equal(["role", "content", "refusal"], reply["choices"]![0]!["message"]!.AsObject().Select(m => m.Key));
    }

    [Theory]
    [InlineData(nameof(Outcome.Complete), "stop")]
    [InlineData(nameof(Outcome.Budget), "length")]
    [InlineData(nameof(Outcome.ContentFilter), "content_filter")]
    public void WriteReply_NoFinishReasonFromProvider_UsesOutcome(string outcome, string reason)
    {
        var call = DialectCalls.Answered(Dialect, """{"model":"fast","messages":[{"role":"user","content":"hi"}]}""");
        call.End(Enum.Parse<Outcome>(outcome));
        var reply = JsonNode.Parse(DialectCalls.Reply(Dialect, call, new GatewayReply.Complete(new ModelResponse([new OutputChoice(0, [new TextPart("cut")], null)]))))!;
        Assert.Equal(reason, (string?)reply["choices"]![0]!["finish_reason"]);
    }

    [Fact]
    public void WriteReply_LegacyFunctions_UsesFunctionCallFormat()
    {
        var reply = JsonNode.Parse(Complete(new ModelResponse([new OutputChoice(0, [new ToolCallPart("c", "f", "{}")], FinishReason.ToolCalls)]), more: ",\"functions\":[{\"name\":\"f\"}]"))!;
        Assert.Equal("f", (string?)reply["choices"]![0]!["message"]!["function_call"]!["name"]);
        Assert.Equal("function_call", (string?)reply["choices"]![0]!["finish_reason"]);
    }

    [Theory]
    [InlineData("{\"id\":\"x\",\"model\":\"gpt-x\",\"choices\":[]}")]
    [InlineData(" {\n \"choices\" : [ { \"message\" : { \"content\" : \"\\\"model\\\":\\\"gpt-x\\\"\", \"model\":\"gpt-x\" } } ],\n \"model\" : \"gpt-x\",\n \"new\": 1.50 \n}\n ")]
    [InlineData("{\"choices\":[]}")]
    [InlineData("{ }")]
    public void WriteReply_NativeBody_ChangesOnlyModel(string body)
    {
        var expected = JsonNode.Parse(body)!.AsObject();
        if (expected.ContainsKey("model")) expected["model"] = "fast";
        Assert.True(JsonNode.DeepEquals(expected, JsonNode.Parse(Native(body, extensions: false))));
        var extended = JsonNode.Parse(Native(body))!.AsObject();
        Assert.Equal(DialectCalls.GenerationId, (string?)extended["fairlead"]!["generation_id"]);
        Assert.Equal("fairlead", extended.Last().Key);
        extended.Remove("fairlead");
        Assert.True(JsonNode.DeepEquals(expected, extended));
    }

    [Fact]
    public void TryScan_CompleteBody_RecordsUsage()
    {
        var meter = new OutputMeter();
        Assert.True(DialectCalls.Scan(
            Dialect,
            """
            {"id":"x","model":"gpt-x-1","choices":[
              {"index":0,"message":{"role":"assistant","content":"h\u00e9\n","refusal":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"fn","arguments":"{}"}}]},
               "logprobs":{"content":[{"token":"h","logprob":-1,"top_logprobs":[{"token":"h","logprob":-9}]},{"token":"e","logprob":-2,"top_logprobs":[]}],"refusal":null},"finish_reason":"tool_calls"},
              {"index":1,"message":{"content":[{"type":"text","text":"ab"}]},"finish_reason":"length"}],
             "usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":99,"cache_write_tokens":1},"completion_tokens_details":null}}
            """u8,
            meter));
        Assert.Equal(4 + 4 + 2, meter.OutputBytes);
        Assert.Equal(FinishReason.Length, meter.FinishReason);
        Assert.Equal(2, meter.FinishedChoices);
        Assert.Equal(-1.5, meter.MeanLogprob);
        Assert.Equal("gpt-x-1", meter.UpstreamModel);
        // A provider that claims more cached than sent must not turn a price negative.
        Assert.Equal(new Usage(9, 5) { CachedInputTokens = 9 }, meter.Reported);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("<html>")]
    [InlineData("{\"choices\":[]")]
    [InlineData("{\"choices\":[]} x")]
    [InlineData("{\"id\":\"x\"}")]
    [InlineData("{\"error\":{\"message\":\"m\"},\"choices\":[]}")]
    public void TryScan_NotAResponse_ReturnsFalse(string body) => Assert.False(DialectCalls.Scan(Dialect, Encoding.UTF8.GetBytes(body), new OutputMeter()));
}

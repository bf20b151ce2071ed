using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Telemetry;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Dialects.OpenAiCompletions;

public sealed class OpenAiCompletionsDialectTests
{
    private static readonly Dialect Dialect = OpenAiCompletionsDialect.Create();

    private static string Body(string more, string prompt = "\"Once\"") => $$"""{"model":"fast","prompt":{{prompt}}{{more}}}""";

    private static GatewayError? Read(string body) => Dialect.Requests.Read(DialectCalls.Of(Dialect, body), new RequestBounds());

    [Fact]
    public void Read_Request_FillsFacts()
    {
        var call = DialectCalls.Of(Dialect, Body(",\"max_tokens\":5,\"n\":2,\"logprobs\":0,\"stream\":true,\"echo\":false,\"suffix\":\"end\",\"best_of\":null,\"fairlead\":{\"class\":\"bulk\"}"));
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        Assert.Equal(5, call.Facts.MaxOutputTokens);
        Assert.Equal(2, call.Facts.ChoiceCount);
        Assert.Equal("Onceend".Length, call.Facts.TextBytes);
        Assert.True(call.Facts.Has(RequestFeatures.Logprobs));
        Assert.Equal("bulk", call.Facts.Extension.Class);
        Assert.DoesNotContain("fairlead", DialectCalls.Upstream(Dialect, call, "up"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[1,2,3]", 3)]
    [InlineData("[[1,2],[3]]", 3)]
    [InlineData("[\"a\",\"b\"]", 0)]
    public void Read_EveryPromptFormat_IsAccepted(string prompt, int tokens)
    {
        var call = DialectCalls.Of(Dialect, Body("", prompt));
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        Assert.Equal(tokens, call.Facts.InputTokenIds);
    }

    [Theory]
    [InlineData("", "[]", "prompt", "empty_array")]
    [InlineData("", "null", "prompt", "invalid_type")]
    [InlineData("", "{}", "prompt", "invalid_type")]
    [InlineData("", "[1,\"a\"]", "prompt[1]", "invalid_type")]
    [InlineData("", "[\"a\",1]", "prompt[1]", "invalid_type")]
    [InlineData("", "[-1]", "prompt[0]", "integer_below_min_value")]
    [InlineData("", "[[1,\"a\"]]", "prompt[0]", "invalid_type")]
    [InlineData(",\"logprobs\":6", "\"x\"", "logprobs", "integer_above_max_value")]
    [InlineData(",\"logprobs\":true", "\"x\"", "logprobs", "invalid_type")]
    [InlineData(",\"best_of\":1,\"n\":2", "\"x\"", "best_of", "invalid_value")]
    [InlineData(",\"best_of\":2,\"stream\":true", "\"x\"", "best_of", "invalid_value")]
    [InlineData(",\"echo\":1", "\"x\"", "echo", "invalid_type")]
    [InlineData(",\"temperature\":3", "\"x\"", "temperature", "decimal_above_max_value")]
    public void Read_InvalidField_ReturnsFieldAndCode(string more, string prompt, string parameter, string code)
    {
        var error = Read(Body(more, prompt))!;
        Assert.Equal((parameter, code), (error.Parameter, error.OpenAiCode));
    }

    [Fact]
    public void Read_PromptMissing_IsRefused() => Assert.Equal(ErrorCode.MissingParameter, Read("{\"model\":\"m\"}")!.Code);

    [Fact]
    public void Read_MutatedBodies_NeverThrowAndReturn4xx()
    {
        var valid = Encoding.UTF8.GetBytes(Body(",\"max_tokens\":5,\"logprobs\":0,\"stream\":true,\"stream_options\":{},\"echo\":false,\"stop\":[\"a\"],\"fairlead\":{\"task\":\"x\"}", "[\"a\\ud83d\\ude00\",\"b\"]"));
        Gen.Select(Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Bool).Sample(
            (at, value, cut) =>
            {
                byte[] body = cut ? valid[..at] : [.. valid[..at], value, .. valid[(at + 1)..]];
                var call = DialectCalls.Of(Dialect, body);
                if (Dialect.Requests.Read(call, new RequestBounds()) is { } error) Assert.InRange(error.Definition.Status, 400, 499);
                else JsonNode.Parse(DialectCalls.Upstream(Dialect, call, "up"));
            },
            iter: 5_000);
    }

    [Theory]
    [InlineData("", "\"Once\"")]
    [InlineData("", "[\"Once\"]")]
    [InlineData(",\"echo\":false,\"best_of\":1,\"suffix\":null", "\"Once\"")]
    public void ToConversation_SinglePrompt_BecomesOneUserMessage(string more, string prompt)
    {
        var call = DialectCalls.Answered(Dialect, Body(more + ",\"stop\":\"x\",\"custom\":1", prompt));
        var request = call.Conversation;
        Assert.Equal(Role.User, request.Messages.Single().Role);
        Assert.Equal([new TextPart("Once")], request.Messages[0].Parts);
        Assert.Equal(16, request.MaxOutputTokens);
        Assert.Equal(["x"], request.Sampling.Stop);
        Assert.Equal(["custom"], request.Extra!.Select(e => e.Key));
    }

    [Theory]
    [InlineData("", "[1,2]", "prompt")]
    [InlineData("", "[[1,2]]", "prompt")]
    [InlineData("", "[\"a\",\"b\"]", "prompt")]
    [InlineData(",\"suffix\":\"x\"", "\"a\"", "suffix")]
    [InlineData(",\"echo\":true", "\"a\"", "echo")]
    [InlineData(",\"best_of\":2", "\"a\"", "best_of")]
    [InlineData(",\"logprobs\":1", "\"a\"", "logprobs")]
    public void ToConversation_FeatureNeedingCompletionModel_IsRefused(string more, string prompt, string parameter)
    {
        var call = DialectCalls.Answered(Dialect, Body(more, prompt));
        var error = Assert.Throws<GatewayErrorException>(() => call.Conversation).Error;
        Assert.Equal((ErrorCode.UnsupportedParameter, parameter), (error.Code, error.Parameter));
    }

    [Fact]
    public void Stream_CanonicalEvents_MatchGoldenFile() => GoldenFile.Matches("stream.txt", Stream(
        [new ResponseStarted(), new ReasoningDelta("hidden"), new TextDelta("upon"), new TextDelta(" a"), new ChoiceFinished(FinishReason.Length), new UsageReported(new Usage(11, 7))]));

    [Fact]
    public void Stream_Native_KeepsFormat()
    {
        const string Head = "\"id\":\"cmpl-up\",\"object\":\"text_completion\",\"created\":1,\"model\":\"gpt-x\"";
        var call = DialectCalls.Answered(Dialect, Body(",\"stream\":true"));
        var stream = DialectCalls.NativeStream(
            Dialect,
            call,
            [["{" + Head + ",\"choices\":[{\"text\":\"up\",\"index\":0,\"logprobs\":{\"tokens\":[\"up\"],\"token_logprobs\":[-0.5]},\"finish_reason\":null}]}"], ["{" + Head + ",\"choices\":[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}]}", "[DONE]"]],
            () => call.End());
        var events = DialectCalls.Events(stream);
        Assert.Equal(["up", ""], events.Select(e => (string?)e["choices"]![0]!["text"]));
        Assert.All(events, e => Assert.Equal("fast", (string?)e["model"]));
        Assert.Equal("complete", (string?)events[^1]["fairlead"]!["outcome"]);
        Assert.EndsWith("data: [DONE]\n\n", stream, StringComparison.Ordinal);
        Assert.Equal((2L, -0.5, FinishReason.Stop), (call.Answering!.Meter.OutputBytes, call.Answering.Meter.MeanLogprob!.Value, call.Answering.Meter.FinishReason!.Value));
    }

    [Fact]
    public void WriteReply_CompleteAnswer_MatchesGoldenFile()
    {
        var call = DialectCalls.Answered(Dialect, Body(""));
        call.End();
        GoldenFile.Matches("reply.json", DialectCalls.Reply(Dialect, call, new GatewayReply.Complete(new ModelResponse([new OutputChoice(0, [new ReasoningPart("h", null), new TextPart("upon a time")], FinishReason.Stop)]))));
    }

    private static string Stream(IEnumerable<GenerationEvent> events)
    {
        var call = DialectCalls.Answered(Dialect, Body(",\"stream\":true"));
        return DialectCalls.Stream(Dialect, call, events, () => call.End(Outcome.Length));
    }
}

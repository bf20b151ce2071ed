using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Errors;

namespace Fairlead.Tests.Dialects.FairleadV2;

public sealed class V2StreamTests
{
    private const string Body = """{"model":"fast","input":"hi"}""";

    private static readonly Dialect Dialect = FairleadDialect.Create();

    [Fact]
    public void Stream_TextAndTools_AreTypedEventsNumberedFromZero()
    {
        var events = Write(
            [
                new ReasoningDelta("Hm."), new TextDelta("It "), new TextDelta("is."), new ToolCallStarted(0, "c1", "f"), new ToolCallDelta(0, "{}"),
                new ChoiceFinished(FinishReason.ToolCalls),
            ],
            Outcome.ToolCalls);
        Assert.Equal(
            [
                "generation.created", "generation.started", "output.reasoning.delta", "output.text.delta", "output.text.delta", "output.tool_call.delta",
                "output.tool_call.delta", "generation.completed",
            ],
            events.Select(made => made["type"]!.GetValue<string>()));
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(made => made["sequence_number"]!.GetValue<int>()));
        var generation = events[^1]["generation"]!;
        Assert.Equal("It is.", generation["output_text"]!.GetValue<string>());
        Assert.Equal(["reasoning", "message", "tool_call"], generation["output"]!.AsArray().Select(item => item!["type"]!.GetValue<string>()));
    }

    [Theory]
    [InlineData(nameof(Outcome.Complete), "generation.completed", "complete")]
    [InlineData(nameof(Outcome.Length), "generation.incomplete", "length")]
    [InlineData(nameof(Outcome.ContentFilter), "generation.incomplete", "content_filter")]
    [InlineData(nameof(Outcome.Cancelled), "generation.cancelled", "cancelled")]
    public void Stream_Outcome_IsInLastEvent(string outcome, string type, string word)
    {
        var last = Write([new TextDelta("x")], Enum.Parse<Outcome>(outcome))[^1];
        Assert.Equal((type, word), (last["type"]!.GetValue<string>(), last["generation"]!["outcome"]!.GetValue<string>()));
        Assert.Null(last["generation"]!["error"]);
    }

    [Fact]
    public void Stream_Failure_HasErrorInLastEvent()
    {
        var last = Write([new TextDelta("x")], Outcome.ProviderLost, new GatewayError(ErrorCode.ProviderError, "It broke."))[^1];
        Assert.Equal("generation.failed", last["type"]!.GetValue<string>());
        Assert.Equal(("provider_error", "It broke."), (last["generation"]!["error"]!["code"]!.GetValue<string>(), last["generation"]!["error"]!["detail"]!.GetValue<string>()));
        Assert.Equal("x", last["generation"]!["output_text"]!.GetValue<string>());
    }

    private static List<JsonObject> Write(IEnumerable<GenerationEvent> made, Outcome outcome, GatewayError? error = null)
    {
        var call = DialectCalls.Answered(Dialect, Body);
        return DialectCalls.Events(DialectCalls.Stream(Dialect, call, made, () => call.End(outcome, error)));
    }
}

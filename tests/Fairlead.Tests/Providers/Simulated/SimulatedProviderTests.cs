using Fairlead.Pipeline;
using System.Text.Json.Nodes;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Providers;
using Fairlead.Providers.Simulated;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Providers.Simulated;

public sealed class SimulatedProviderTests
{
    [Fact]
    public async Task Fast_SameSeedAndRequest_ReturnsSameTextStreamedOrNot()
    {
        var request = SimulatedCalls.Ask("Where to?");
        var whole = SimulatedCalls.TextOf(await new SimulatedCalls("sim-fast").AnswerAsync(request));
        Assert.NotEmpty(whole);
        Assert.Equal(whole, SimulatedCalls.TextOf(await new SimulatedCalls("sim-fast").EventsAsync(request)));
        Assert.NotEqual(whole, SimulatedCalls.TextOf(await new SimulatedCalls("sim-fast", new SimulationConfig { Seed = 2 }).AnswerAsync(request)));
        Assert.NotEqual(whole, SimulatedCalls.TextOf(await new SimulatedCalls("sim-fast").AnswerAsync(request with { Sampling = new Sampling { Seed = 7 } })));
        Assert.NotEqual(whole, SimulatedCalls.TextOf(await new SimulatedCalls("sim-fast").AnswerAsync(SimulatedCalls.Ask("Where from?"))));
    }

    [Fact]
    public async Task Fast_Usage_IsCountedByVocabulary()
    {
        var calls = new SimulatedCalls("sim-fast");
        var answer = await calls.AnswerAsync(SimulatedCalls.Ask("Hello"));
        var usage = calls.Attempt.Meter.Reported!.Value;
        Assert.Equal(8, usage.InputTokens);
        Assert.Equal(Vocabulary.O200k.Count(SimulatedCalls.TextOf(answer), out _), usage.OutputTokens);
        Assert.Equal(FinishReason.Stop, calls.Attempt.Meter.FinishReason);
        Assert.Equal("sim-fast", calls.Attempt.Meter.UpstreamModel);
        Assert.Equal(0, calls.Provider.ActiveStreams);
    }

    [Fact]
    public async Task Echo_LastUserText_IsReturnedWithinMaxTokens()
    {
        const string text = "Tell me the news: 😀 中文 and 👩‍👩‍👧!";
        var calls = new SimulatedCalls("sim-echo");
        Assert.Equal(text, SimulatedCalls.TextOf(await calls.AnswerAsync(SimulatedCalls.Ask(text))));
        Assert.Equal(text, SimulatedCalls.TextOf(await calls.EventsAsync(SimulatedCalls.Ask(text))));

        var capped = await calls.AnswerAsync(SimulatedCalls.Ask("one two three four five") with { MaxOutputTokens = 3 });
        Assert.Equal("one two three", SimulatedCalls.TextOf(capped));
        Assert.Equal(FinishReason.Length, capped.Choices[0].FinishReason);
        Assert.Equal(3, calls.Attempt.Meter.Reported!.Value.OutputTokens);

        var none = await calls.AnswerAsync(SimulatedCalls.Ask("one two") with { MaxOutputTokens = 0 });
        Assert.Equal(FinishReason.Length, none.Choices[0].FinishReason);
        var exact = await calls.AnswerAsync(SimulatedCalls.Ask("one two three") with { MaxOutputTokens = 3 });
        Assert.Equal(FinishReason.Stop, exact.Choices[0].FinishReason);
    }

    [Fact]
    public async Task Echo_StopSequence_EndsBeforeIt()
    {
        var answer = await new SimulatedCalls("sim-echo").AnswerAsync(SimulatedCalls.Ask("alpha beta STOP gamma") with { Sampling = new Sampling { Stop = ["gamma", "STOP"] } });
        Assert.Equal("alpha beta ", SimulatedCalls.TextOf(answer));
        Assert.Equal(("STOP", FinishReason.Stop), (answer.Choices[0].StopSequence, answer.Choices[0].FinishReason));
    }

    [Fact]
    public async Task Fast_SeveralChoices_DifferAndInterleave()
    {
        var calls = new SimulatedCalls("sim-fast");
        var events = await calls.EventsAsync(SimulatedCalls.Ask("Hi") with { ChoiceCount = 3 });
        var texts = Enumerable.Range(0, 3).Select(c => SimulatedCalls.TextOf(events, c)).ToArray();
        Assert.Equal(3, texts.Distinct().Count());
        Assert.Equal([0, 1, 2], events.OfType<TextDelta>().Take(3).Select(e => e.Choice));
        Assert.Equal(3, events.OfType<ChoiceFinished>().Count());
        Assert.Equal(3, calls.Attempt.Meter.FinishedChoices);
        Assert.IsType<ResponseStarted>(events[0]);
        Assert.IsType<UsageReported>(events[^1]);
        Assert.Equal(texts.Sum(t => Vocabulary.O200k.Count(t, out _)), calls.Attempt.Meter.Reported!.Value.OutputTokens);
    }

    [Fact]
    public async Task Fast_Logprobs_AreOnePerTokenWithAlternatives()
    {
        var request = SimulatedCalls.Ask("Hi") with { Sampling = new Sampling { Logprobs = true, TopLogprobs = 3 } };
        var calls = new SimulatedCalls("sim-fast");
        var answer = await calls.AnswerAsync(request);
        var logprobs = answer.Choices[0].Logprobs!;
        Assert.Equal(SimulatedCalls.TextOf(answer), string.Concat(logprobs.Select(l => l.Token)));
        Assert.All(logprobs, l =>
        {
            Assert.True(l.Logprob <= 0);
            Assert.Equal(3, l.Top.Count);
            Assert.Equal(l.Token, l.Top[0].Token);
            Assert.Equal(l.Top.OrderByDescending(t => t.Logprob), l.Top);
        });
        Assert.NotNull(calls.Attempt.Meter.MeanLogprob);
        var streamed = (await new SimulatedCalls("sim-fast").EventsAsync(request)).OfType<TextDelta>().SelectMany(e => e.Logprobs!).ToArray();
        Assert.Equal(logprobs.Select(l => (l.Token, l.Logprob)), streamed.Select(l => (l.Token, l.Logprob)));
    }

    [Fact]
    public async Task Tools_InRequest_CallsFirstToolThenAnswersFromResult()
    {
        var schema = JsonNode.Parse("""{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":5}},"required":["city","days"],"additionalProperties":false}""")!.AsObject();
        var request = SimulatedCalls.Ask("Weather?") with { Tools = [new Tool("weather") { Parameters = schema }, new Tool("news")] };
        var calls = new SimulatedCalls("sim-tools");
        var answer = await calls.AnswerAsync(request);
        Assert.Equal(FinishReason.ToolCalls, answer.Choices[0].FinishReason);
        var call = Assert.IsType<ToolCallPart>(Assert.Single(answer.Choices[0].Parts));
        Assert.Equal("weather", call.Name);
        Assert.InRange((int)JsonNode.Parse(call.Arguments)!["days"]!, 1, 5);

        var events = await calls.EventsAsync(request);
        Assert.Equal(call.Id, Assert.Single(events.OfType<ToolCallStarted>()).Id);
        Assert.True(events.OfType<ToolCallDelta>().Count() > 3);
        Assert.Equal(call.Arguments, string.Concat(events.OfType<ToolCallDelta>().Select(d => d.Arguments)));

        var after = request with { Messages = [.. request.Messages, new Message(Role.Assistant, [call]), new Message(Role.Tool, [new ToolResultPart(call.Id, [new TextPart("21 degrees")])])] };
        Assert.Contains("21 degrees", SimulatedCalls.TextOf(await calls.AnswerAsync(after)), StringComparison.Ordinal);
        Assert.NotEmpty(SimulatedCalls.TextOf(await calls.AnswerAsync(request with { ToolChoice = new ToolChoice(ToolChoiceMode.None) })));
        Assert.Equal("news", (await calls.AnswerAsync(request with { ToolChoice = new ToolChoice(ToolChoiceMode.Named, "news") })).Choices[0].Parts.OfType<ToolCallPart>().Single().Name);
        Assert.Equal(2, (await calls.AnswerAsync(request with { ParallelToolCalls = true })).Choices[0].Parts.Count);
        Assert.Single((await new SimulatedCalls("sim-fast").AnswerAsync(request with { ToolChoice = new ToolChoice(ToolChoiceMode.Required) })).Choices[0].Parts.OfType<ToolCallPart>());
        Assert.NotEmpty(SimulatedCalls.TextOf(await new SimulatedCalls("sim-fast").AnswerAsync(request)));

        var cut = await calls.AnswerAsync(request with { MaxOutputTokens = 2 });
        Assert.Equal(FinishReason.Length, cut.Choices[0].FinishReason);
        Assert.Equal(2, calls.Attempt.Meter.Reported!.Value.OutputTokens);
    }

    [Fact]
    public async Task SimReason_Stream_SendsReasoningBeforeText()
    {
        var calls = new SimulatedCalls("sim-reason");
        var events = await calls.EventsAsync(SimulatedCalls.Ask("Hi"));
        var sealedAt = events.FindIndex(e => e is ReasoningDelta { Signature: not null });
        Assert.True(sealedAt > 1);
        Assert.True(sealedAt < events.FindIndex(e => e is TextDelta));
        Assert.Equal(events.OfType<ReasoningDelta>().Count(e => e.Signature is null), calls.Attempt.Meter.Reported!.Value.ReasoningTokens);
        var silent = await calls.EventsAsync(SimulatedCalls.Ask("Hi") with { Reasoning = new Reasoning { Effort = "none" } });
        Assert.Empty(silent.OfType<ReasoningDelta>());
    }

    [Fact]
    public async Task Json_NoSchema_ReturnsObject()
    {
        var answer = await new SimulatedCalls("sim-json").AnswerAsync(SimulatedCalls.Ask("Hi") with { OutputFormat = new OutputFormat(OutputKind.Json) });
        Assert.NotEmpty(Assert.IsType<JsonObject>(JsonNode.Parse(SimulatedCalls.TextOf(answer))));
    }

    [Fact]
    public async Task Embed_Vectors_HaveUnitLengthAndAreCloseForSimilarTexts()
    {
        var calls = new SimulatedCalls("sim-embed");
        var reply = Assert.IsType<GatewayReply.Embedded>(await calls.SendAsync(new EmbeddingsRequest([new("the harbour at night", null), new("a harbour at night", null), new("quarterly tax forms", null), new("", null), new(null, [1, 2])])));
        var vectors = reply.Response.Vectors;
        Assert.All(vectors, v => Assert.Equal(256, v.Length));
        Assert.All(vectors, v => Assert.Equal(1, Dot(v, v), 4));
        Assert.True(Dot(vectors[0], vectors[1]) > Dot(vectors[0], vectors[2]) + 0.3);
        Assert.Equal(4 + 4 + 3 + 2, calls.Attempt.Meter.Reported!.Value.InputTokens, 2.0);
        var small = Assert.IsType<GatewayReply.Embedded>(await calls.SendAsync(new EmbeddingsRequest([new("x", null)]) { Dimensions = 3 }));
        Assert.Equal(3, small.Response.Vectors[0].Length);
        var huge = Assert.IsType<GatewayReply.AttemptFailed>(await calls.SendAsync(new EmbeddingsRequest([new("x", null)]) { Dimensions = int.MaxValue }));
        Assert.Equal(FailureClass.GiveBack, huge.Class);
    }

    [Fact]
    public async Task SimSlow_Stream_TakesItsConfiguredTime()
    {
        var calls = new SimulatedCalls("sim-slow");
        var started = calls.Time.GetUtcNow();
        await using var source = Assert.IsType<GatewayReply.Streaming>(await calls.SendAsync(SimulatedCalls.Ask("Hi"), stream: true)).Events;
        using var batch = new EventBatch();
        var reading = source.ReadAsync(batch, TestContext.Current.CancellationToken).AsTask();
        Assert.False(reading.IsCompleted);
        var events = new List<GenerationEvent>();
        while (!reading.IsCompleted)
        {
            calls.Time.Advance(TimeSpan.FromMilliseconds(20));
            await Task.Yield();
        }
        await reading;
        Assert.InRange((calls.Time.GetUtcNow() - started).TotalMilliseconds, 250, 2500);
        Assert.Single(batch.Items, i => i.IsContent);
        events.AddRange(await calls.ReadAllAsync(source));
        Assert.True((calls.Time.GetUtcNow() - started).TotalSeconds > 1.5);
    }

    [Theory]
    [InlineData("status=429; retry_after=2", ErrorCode.RateLimitExceeded, FailureClassName.Retry, 429)]
    [InlineData("status=500", ErrorCode.ProviderError, FailureClassName.Retry, 500)]
    [InlineData("status=401", ErrorCode.ProviderError, FailureClassName.Failover, 401)]
    [InlineData("status=400", ErrorCode.ProviderRejected, FailureClassName.GiveBack, 400)]
    [InlineData("reset", ErrorCode.ProviderError, FailureClassName.Retry, null)]
    [InlineData("fail_first=1", ErrorCode.ProviderUnavailable, FailureClassName.Retry, 503)]
    public async Task SimulatedErrors_BeforeResponse_AreReportedLikeARealAdapter(string simulate, ErrorCode code, FailureClassName failureClass, int? status)
    {
        var calls = new SimulatedCalls("sim-fast");
        foreach (var stream in new[] { true, false })
        {
            var failed = Assert.IsType<GatewayReply.AttemptFailed>(await calls.SendAsync(SimulatedCalls.Ask("Hi"), stream, simulate));
            Assert.Equal((code, failureClass.ToString(), status), (failed.Error.Code, failed.Class.ToString(), failed.Status));
            if (status == 429) Assert.Equal(TimeSpan.FromSeconds(2), failed.Error.RetryAfter);
        }
    }

    [Fact]
    public async Task FailFirst_LaterAttempt_Succeeds()
    {
        var calls = new SimulatedCalls("sim-fast", new SimulationConfig { Faults = "fail_first=2; status=500" });
        Assert.IsType<GatewayReply.AttemptFailed>(await calls.SendAsync(SimulatedCalls.Ask("Hi"), attempt: 2));
        Assert.IsType<GatewayReply.Complete>(await calls.SendAsync(SimulatedCalls.Ask("Hi"), attempt: 3));
    }

    [Fact]
    public async Task CutAfter_StreamAndNonStreaming_BreaksStreamAndFailsWholeResponse()
    {
        var calls = new SimulatedCalls("sim-fast");
        var events = await calls.EventsAsync(SimulatedCalls.Ask("Hi"), "cut_after=4");
        Assert.Equal(4, events.OfType<TextDelta>().Count());
        Assert.Equal(ErrorCode.ProviderError, Assert.IsType<AttemptFailed>(events[^1]).Error.Code);
        Assert.Empty(events.OfType<ChoiceFinished>());
        Assert.IsType<GatewayReply.AttemptFailed>(await calls.SendAsync(SimulatedCalls.Ask("Hi"), simulate: "cut_after=4"));
        Assert.IsType<AttemptFailed>(Assert.Single(await calls.EventsAsync(SimulatedCalls.Ask("Hi"), "cut_after=0")));
    }

    [Fact]
    public async Task StallAfter_Stream_EndsAtIdleTimeout()
    {
        var calls = new SimulatedCalls("sim-fast", timeouts: new ProviderTimeouts { StreamIdle = TimeSpan.FromSeconds(5) });
        var started = calls.Time.GetUtcNow();
        var events = await calls.EventsAsync(SimulatedCalls.Ask("Hi"), "stall_after=3");
        Assert.Equal(3, events.OfType<TextDelta>().Count());
        Assert.Equal(ErrorCode.ProviderTimeout, Assert.IsType<AttemptFailed>(events[^1]).Error.Code);
        Assert.InRange((calls.Time.GetUtcNow() - started).TotalSeconds, 5, 6);
    }

    [Fact]
    public async Task Ttft_AboveFirstTokenTimeout_TimesOut()
    {
        var calls = new SimulatedCalls("sim-fast", timeouts: new ProviderTimeouts { FirstToken = TimeSpan.FromSeconds(1) });
        var events = await calls.EventsAsync(SimulatedCalls.Ask("Hi"), "ttft=2s");
        Assert.Equal(ErrorCode.ProviderTimeout, Assert.IsType<AttemptFailed>(Assert.Single(events)).Error.Code);
    }

    [Fact]
    public async Task Hang_Stream_FailsAtFirstTokenTimeout()
    {
        var calls = new SimulatedCalls("sim-fast", timeouts: new ProviderTimeouts { FirstToken = TimeSpan.FromSeconds(3) });
        var sending = calls.SendAsync(SimulatedCalls.Ask("Hi"), stream: true, "hang").AsTask();
        Assert.False(sending.IsCompleted);
        Assert.Equal(1, calls.Provider.ActiveStreams);
        calls.Time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(ErrorCode.ProviderTimeout, Assert.IsType<GatewayReply.AttemptFailed>(await sending).Error.Code);
        Assert.Equal(0, calls.Provider.ActiveStreams);
    }

    [Fact]
    public async Task MalformedAtAndNoDone_Stream_SkipsOneEventAndReportsNoUsage()
    {
        var calls = new SimulatedCalls("sim-echo");
        var events = await calls.EventsAsync(SimulatedCalls.Ask("one two three four"), "malformed_at=2; no_done");
        Assert.Equal("one three four", SimulatedCalls.TextOf(events));
        Assert.Equal(1, calls.Attempt.Meter.SkippedEvents);
        Assert.Null(calls.Attempt.Meter.Reported);
        Assert.IsType<ChoiceFinished>(events[^1]);
    }

    [Fact]
    public async Task Cancel_WhileReading_StopsImmediatelyAndIsCounted()
    {
        var calls = new SimulatedCalls("sim-slow");
        var source = Assert.IsType<GatewayReply.Streaming>(await calls.SendAsync(SimulatedCalls.Ask("Hi"), stream: true)).Events;
        Assert.Equal(1, calls.Provider.ActiveStreams);
        using var leaving = new CancellationTokenSource();
        using var batch = new EventBatch();
        var reading = source.ReadAsync(batch, leaving.Token).AsTask();
        await leaving.CancelAsync();
        var stopped = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
        Assert.Equal(leaving.Token, stopped.CancellationToken);
        await source.DisposeAsync();
        await source.DisposeAsync();
        Assert.Equal((0, 1), (calls.Provider.ActiveStreams, calls.Provider.Aborted));
    }

    [Fact]
    public async Task Cancel_AttemptToken_StopsReadWithOtherToken()
    {
        using var attempt = new CancellationTokenSource();
        var calls = new SimulatedCalls("sim-slow");
        await using var source = Assert.IsType<GatewayReply.Streaming>(await calls.SendAsync(SimulatedCalls.Ask("Hi"), stream: true, token: attempt.Token)).Events;
        using var batch = new EventBatch();
        var reading = source.ReadAsync(batch, TestContext.Current.CancellationToken).AsTask();
        await attempt.CancelAsync();
        Assert.Equal(attempt.Token, (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading)).CancellationToken);
    }

    [Fact]
    public async Task Echo_AdversarialText_StaysWithinMaxTokens()
    {
        var answer = await new SimulatedCalls("sim-echo").AnswerAsync(SimulatedCalls.Ask(new string('a', 500_000)) with { MaxOutputTokens = 50 });
        Assert.Equal(FinishReason.Length, answer.Choices[0].FinishReason);
        Assert.InRange(SimulatedCalls.TextOf(answer).Length, 50, 50 * 128);
    }

    public enum FailureClassName
    {
        Retry,
        Failover,
        GiveBack,
    }

    private static float Dot(ReadOnlyMemory<float> a, ReadOnlyMemory<float> b)
    {
        var sum = 0f;
        for (var i = 0; i < a.Length; i++) sum += a.Span[i] * b.Span[i];
        return sum;
    }
}

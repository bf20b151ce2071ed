using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Providers.Gemini;

public sealed class GeminiProviderTests
{
    private static readonly string[] Hello =
    [
        """{"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":3},"modelVersion":"gemini-2.5-flash-001"}""",
        """{"candidates":[{"content":{"parts":[{"text":"lo"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}""",
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Send_Sync_CallsGenerateContentAndRecordsUsage()
    {
        await using var gemini = await FakeGemini.AnswerAsync(GoldenFile.Read("text.answer.json"));
        var attempt = InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash");

        var reply = await gemini.Provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), attempt, Token);

        var answer = Assert.IsType<GatewayReply.Complete>(reply).Response;
        Assert.Equal(new TextPart("Hello there."), Assert.Single(Assert.Single(answer.Choices).Parts));
        Assert.Equal((12, 4, 8), ((int)attempt.Meter.Reported!.Value.InputTokens, (int)attempt.Meter.Reported.Value.OutputTokens, (int)attempt.Meter.Reported.Value.CachedInputTokens));
        Assert.Equal((FinishReason.Stop, "gemini-2.5-flash"), (attempt.Meter.FinishReason!.Value, attempt.Meter.UpstreamModel));
        var request = gemini.Requests.First();
        Assert.Equal(("/v1beta/models/gemini-2.5-flash:generateContent", "AIza-secret"), (request.Path + request.Query, request.Headers["x-goog-api-key"]));
        Assert.True(attempt.Sent);
    }

    [Fact]
    public async Task Send_Stream_ReturnsAllEventsThroughFinish()
    {
        await using var gemini = await FakeGemini.StreamAsync(Hello);
        var attempt = InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash");

        var reply = await gemini.Provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi"), stream: true), attempt, Token);

        var events = await InnerCall.ReadAllAsync(Assert.IsType<GatewayReply.Streaming>(reply).Events, Token);
        Assert.Equal(
            """["0 started","0 text \u0022Hel\u0022","0 text \u0022lo\u0022","0 finished Stop","0 usage in=3 cached=0 out=2 reasoning=0 measured"]""",
            EventText.Of(events).ToJsonString());
        Assert.Equal("gemini-2.5-flash-001", attempt.Meter.UpstreamModel);
        var request = gemini.Requests.First();
        Assert.Equal("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", request.Path + request.Query);
    }

    [Fact]
    public async Task Stream_EndsWithoutFinishReason_EndsWithAttemptFailed()
    {
        await using var gemini = await FakeGemini.StreamAsync(Hello[..1]);
        var events = await StreamAsync(gemini);
        Assert.IsType<TextDelta>(events[^2]);
        Assert.Equal(ErrorCode.ProviderError, Assert.IsType<AttemptFailed>(events[^1]).Error.Code);
    }

    [Fact]
    public async Task Stream_ConnectionReset_EndsWithAttemptFailed()
    {
        // The reset may overtake what was sent before it, so it waits until that was read.
        var read = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var gemini = await FakeGemini.StreamAsync(Hello[..1], async context =>
        {
            await read.Task;
            context.Abort();
        });
        var reply = await gemini.Provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi"), stream: true), InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash"), Token);
        var source = Assert.IsType<GatewayReply.Streaming>(reply).Events;
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        read.SetResult();
        var events = await InnerCall.ReadAllAsync(source, Token);
        Assert.IsType<AttemptFailed>(events[^1]);
    }

    [Fact]
    public async Task Stream_ErrorEventMidway_EndsWithRedactedError()
    {
        await using var gemini = await FakeGemini.StreamAsync(
            [Hello[0], """{"error":{"code":503,"message":"Overloaded at 10.0.0.7, key AIza-secret","status":"UNAVAILABLE"}}"""]);
        var events = await StreamAsync(gemini);
        var error = Assert.IsType<AttemptFailed>(events[^1]).Error;
        Assert.DoesNotContain("AIza", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("10.0.0.7", error.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.ProviderUnavailable, error.Code);
    }

    [Fact]
    public async Task Stream_MalformedEvent_IsSkippedAndCounted()
    {
        await using var gemini = await FakeGemini.StreamAsync([Hello[0], "{oops", Hello[1]]);
        var attempt = InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash");
        var events = await StreamAsync(gemini, attempt);
        Assert.Contains(events, e => e is ChoiceFinished);
        Assert.DoesNotContain(events, e => e is AttemptFailed);
        Assert.Equal(1, attempt.Meter.SkippedEvents);
    }

    [Fact]
    public async Task Stream_MalformedFunctionCallWithoutContent_Fails()
    {
        await using var gemini = await FakeGemini.StreamAsync(["""{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"""]);
        Assert.Equal(ErrorCode.ProviderError, Assert.IsType<AttemptFailed>((await StreamAsync(gemini))[^1]).Error.Code);
    }

    [Fact]
    public async Task Stream_Disposed_ClosesConnectionImmediately()
    {
        var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var gemini = await FakeGemini.StreamAsync(Hello[..1], async context =>
        {
            context.RequestAborted.Register(() => left.TrySetResult());
            await left.Task;
        });
        var reply = await gemini.Provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi"), stream: true), InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash"), Token);
        var source = Assert.IsType<GatewayReply.Streaming>(reply).Events;
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        await source.DisposeAsync();
        await left.Task.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task Stream_StallsMidway_EndsWithProviderTimeout()
    {
        var over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var gemini = await FakeGemini.StreamAsync(Hello[..1], _ => over.Task);
        var events = await StreamAsync(gemini, InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash", new ProviderTimeouts { StreamIdle = TimeSpan.FromMilliseconds(50) }));
        over.SetResult();
        Assert.Equal(ErrorCode.ProviderTimeout, Assert.IsType<AttemptFailed>(events[^1]).Error.Code);
    }

    public static TheoryData<int, string, string, string> Errors => new()
    {
        { 400, """{"error":{"code":400,"message":"Unknown name","status":"INVALID_ARGUMENT"}}""", "provider_rejected", "GiveBack" },
        { 400, """{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}""", "provider_error", "Failover" },
        { 400, """{"error":{"code":400,"message":"The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}""", "context_length_exceeded", "GiveBack" },
        { 403, """{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}""", "provider_error", "Failover" },
        { 404, """{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}""", "provider_error", "Failover" },
        { 500, """{"error":{"code":500,"message":"internal","status":"INTERNAL"}}""", "provider_error", "Retry" },
        { 503, """{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}""", "provider_unavailable", "Retry" },
        { 504, """{"error":{"code":504,"message":"late","status":"DEADLINE_EXCEEDED"}}""", "provider_timeout", "Retry" },
    };

    [Theory]
    [MemberData(nameof(Errors))]
    public async Task Send_ApiError_IsClassified(int status, string body, string code, string failureClass)
    {
        await using var gemini = await FakeGemini.AnswerAsync(body, status);
        var failed = await FailAsync(gemini);
        Assert.Equal((code, failureClass, (int?)status), (failed.Error.Definition.Name, failed.Class.ToString(), failed.Status));
    }

    [Fact]
    public async Task Send_QuotaErrorWithRetryInfo_ReturnsRetryAfter()
    {
        await using var gemini = await FakeGemini.AnswerAsync(
            """{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]}}""", 429);
        var failed = await FailAsync(gemini);
        Assert.Equal((FailureClass.Retry, TimeSpan.FromSeconds(7)), (failed.Class, failed.Error.RetryAfter!.Value));
    }

    [Theory]
    [InlineData("<html>")]
    [InlineData("{}")]
    [InlineData("""{"candidates":[{"content":{"parts":[{"text":"cut"}""")]
    [InlineData("""{"candidates":[{"content":{"parts":[]}}]}""")]
    public async Task Send_InvalidResponseBody_Fails(string body)
    {
        await using var gemini = await FakeGemini.AnswerAsync(body);
        Assert.Equal(ErrorCode.ProviderError, (await FailAsync(gemini)).Error.Code);
    }

    [Fact]
    public async Task Send_FeatureGeminiDoesNotSupport_IsRefusedBeforeSending()
    {
        await using var gemini = await FakeGemini.AnswerAsync("{}");
        var attempt = InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash");
        var reply = await gemini.Provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi") with { ChoiceCount = 50 }), attempt, Token);
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(reply);
        Assert.Equal((ErrorCode.UnsupportedParameter, "n", FailureClass.Failover), (failed.Error.Code, failed.Error.Parameter, failed.Class));
        Assert.False(attempt.Sent);
        Assert.Empty(gemini.Requests);
    }

    [Fact]
    public async Task Send_CallerCancels_Throws()
    {
        using var caller = CancellationTokenSource.CreateLinkedTokenSource(Token);
        await using var gemini = await FakeGemini.StartAsync(async context =>
        {
            await caller.CancelAsync();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            await gemini.Provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash"), caller.Token));
    }

    [Fact]
    public async Task Send_Embeddings_UsesBatchAndNormalizesTruncatedVectors()
    {
        await using var gemini = await FakeGemini.AnswerAsync("""{"embeddings":[{"values":[3,4]},{"values":[0,0.5]}]}""");
        var reply = await gemini.Provider.SendAsync(
            InnerCall.Of(new EmbeddingsRequest([new("a", null), new("b", null)]) { Dimensions = 2 }), InnerCall.AttemptAt(gemini.Provider, "gemini-embedding-001"), Token);
        var vectors = Assert.IsType<GatewayReply.Embedded>(reply).Response.Vectors;
        Assert.Equal([0.6f, 0.8f], vectors[0].ToArray());
        Assert.Equal([0f, 1f], vectors[1].ToArray());
        var request = gemini.Requests.First();
        Assert.Equal("/v1beta/models/gemini-embedding-001:batchEmbedContents", request.Path + request.Query);
        GoldenFile.MatchesJson("embeddings.request.json", request.Body);
    }

    [Theory]
    [InlineData("""{"embeddings":[]}""")]
    [InlineData("""{"embeddings":[{"values":["x"]}]}""")]
    [InlineData("""{"embeddings":[{}]}""")]
    [InlineData("""[]""")]
    public async Task Send_InvalidEmbeddingsResponse_Fails(string body)
    {
        await using var gemini = await FakeGemini.AnswerAsync(body);
        var reply = await gemini.Provider.SendAsync(InnerCall.Of(new EmbeddingsRequest([new("a", null)])), InnerCall.AttemptAt(gemini.Provider, "gemini-embedding-001"), Token);
        Assert.Equal(ErrorCode.ProviderError, Assert.IsType<GatewayReply.AttemptFailed>(reply).Error.Code);
    }

    [Fact]
    public async Task Send_EmbeddingsWithTokenIds_IsRefused()
    {
        await using var gemini = await FakeGemini.AnswerAsync("{}");
        var reply = await gemini.Provider.SendAsync(InnerCall.Of(new EmbeddingsRequest([new(null, [1, 2])])), InnerCall.AttemptAt(gemini.Provider, "gemini-embedding-001"), Token);
        var error = Assert.IsType<GatewayReply.AttemptFailed>(reply).Error;
        Assert.Equal((ErrorCode.UnsupportedParameter, "input"), (error.Code, error.Parameter));
        Assert.Empty(gemini.Requests);
    }

    [Fact]
    public async Task Send_CountTokens_ReturnsCount()
    {
        await using var gemini = await FakeGemini.AnswerAsync("""{"totalTokens":31}""");
        var reply = await gemini.Provider.SendAsync(
            InnerCall.Of(InnerCall.Ask("Hi"), operation: Operation.CountTokens), InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash"), Token);
        Assert.Equal(31, Assert.IsType<GatewayReply.Counted>(reply).InputTokens);
        var request = gemini.Requests.First();
        Assert.Equal("/v1beta/models/gemini-2.5-flash:countTokens", request.Path + request.Query);
    }

    private static async Task<GatewayReply.AttemptFailed> FailAsync(FakeGemini gemini) => Assert.IsType<GatewayReply.AttemptFailed>(
        await gemini.Provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash"), Token));

    private static async Task<List<GenerationEvent>> StreamAsync(FakeGemini gemini, Attempt? attempt = null)
    {
        var reply = await gemini.Provider.SendAsync(
            InnerCall.Of(InnerCall.Ask("Hi"), stream: true), attempt ?? InnerCall.AttemptAt(gemini.Provider, "gemini-2.5-flash"), Token);
        return await InnerCall.ReadAllAsync(Assert.IsType<GatewayReply.Streaming>(reply).Events, Token);
    }
}

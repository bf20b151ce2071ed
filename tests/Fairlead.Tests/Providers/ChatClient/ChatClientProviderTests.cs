using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.ChatClient;
using Fairlead.Streaming;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers.ChatClient;

public sealed class ChatClientProviderTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Send_FullConversation_ReachesChatClientComplete()
    {
        var client = new ScriptedClient { Answer = _ => Task.FromResult(new ChatResponse(new ChatMessage(ChatRole.Assistant, "ok"))) };
        var schema = (JsonObject)JsonNode.Parse("""{"type":"object","properties":{"city":{"type":"string"}}}""")!;
        var request = new ConversationRequest
        {
            Messages =
            [
                Message.Of(Role.Developer, "Be brief."),
                new(Role.User, [new TextPart("See"), new ImagePart(null, "image/png", "AAAA"), new ImagePart("https://example.org/a.png", null, null), new FilePart { FileName = "a.pdf", Data = "AAAA" }]) { Name = "ann" },
                new(Role.Assistant, [new ReasoningPart("hm", "seal"), new ToolCallPart("c1", "weather", """{"city":"Rome"}""")]),
                new(Role.Tool, [new ToolResultPart("c1", [new TextPart("21")]) { IsError = true }]),
            ],
            Tools = [new("weather") { Description = "d", Parameters = schema, Strict = true }, new("other")],
            ToolChoice = new(ToolChoiceMode.Required) { Allowed = ["weather"] },
            ParallelToolCalls = false,
            OutputFormat = new(OutputKind.JsonSchema) { Name = "n", Schema = schema },
            Sampling = new() { Temperature = 0.5, TopP = 0.25, TopK = 3, Seed = 9, FrequencyPenalty = 1, PresencePenalty = -1, Stop = ["x"] },
            MaxOutputTokens = 50,
            Reasoning = new() { Effort = "high" },
            EndUser = "u1",
        };
        var call = InnerCall.Of(request);
        var provider = Provider(client);

        Assert.IsType<GatewayReply.Complete>(await provider.SendAsync(call, InnerCall.AttemptAt(provider, "rag"), Token));

        Assert.Equal([ChatRole.System, ChatRole.User, ChatRole.Assistant, ChatRole.Tool], client.Messages.Select(m => m.Role));
        var user = client.Messages[1];
        Assert.Equal("ann", user.AuthorName);
        Assert.Equal("See", Assert.IsType<TextContent>(user.Contents[0]).Text);
        Assert.Equal("image/png", Assert.IsType<DataContent>(user.Contents[1]).MediaType);
        Assert.Equal("https://example.org/a.png", Assert.IsType<UriContent>(user.Contents[2]).Uri.ToString());
        Assert.Equal(("a.pdf", "application/pdf"), (Assert.IsType<DataContent>(user.Contents[3]).Name, ((DataContent)user.Contents[3]).MediaType));
        Assert.Equal("seal", Assert.IsType<TextReasoningContent>(client.Messages[2].Contents[0]).ProtectedData);
        var made = Assert.IsType<FunctionCallContent>(client.Messages[2].Contents[1]);
        Assert.Equal(("c1", "weather", "Rome"), (made.CallId, made.Name, ((JsonElement)made.Arguments!["city"]!).GetString()));
        var result = Assert.IsType<FunctionResultContent>(client.Messages[3].Contents[0]);
        Assert.Equal(("c1", "21"), (result.CallId, result.Result));
        Assert.Equal(true, result.AdditionalProperties!["is_error"]);

        var options = client.Options!;
        Assert.Same(call, options.GetGatewayCall());
        Assert.Equal("u1", options.AdditionalProperties!["fairlead.end_user"]);
        Assert.Equal((0.5f, 0.25f, 3, 9L, 1f, -1f, 50), (options.Temperature, options.TopP, options.TopK, options.Seed, options.FrequencyPenalty, options.PresencePenalty, options.MaxOutputTokens));
        Assert.Equal(["x"], options.StopSequences);
        Assert.Null(options.ModelId);
        Assert.Equal(false, options.AllowMultipleToolCalls);
        Assert.Equal(ReasoningEffort.High, options.Reasoning!.Effort);
        Assert.Equal(ChatToolMode.RequireAny, options.ToolMode);
        var tool = Assert.IsAssignableFrom<AIFunctionDeclaration>(Assert.Single(options.Tools!));
        Assert.IsNotAssignableFrom<AIFunction>(tool);
        Assert.Equal(("weather", "d"), (tool.Name, tool.Description));
        Assert.Equal("string", tool.JsonSchema.GetProperty("properties").GetProperty("city").GetProperty("type").GetString());
        Assert.Equal("n", Assert.IsType<ChatResponseFormatJson>(options.ResponseFormat).SchemaName);
    }

    [Fact]
    public async Task Send_Sync_ReturnsContentUsageAndFinishReason()
    {
        var client = new ScriptedClient
        {
            Answer = _ => Task.FromResult(new ChatResponse(new ChatMessage(ChatRole.Assistant, [new TextReasoningContent("hm"), new TextContent("Hel"), new TextContent("lo")]))
            {
                FinishReason = ChatFinishReason.Length,
                ModelId = "inner-1",
                Usage = new UsageDetails { InputTokenCount = 10, OutputTokenCount = 4, CachedInputTokenCount = 3, ReasoningTokenCount = 1 },
            }),
        };
        var provider = Provider(client);
        var attempt = InnerCall.AttemptAt(provider, "rag");
        var reply = Assert.IsType<GatewayReply.Complete>(await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), attempt, Token));
        Assert.Equal("""[{"index":0,"finish":"Length","parts":["reasoning: hm []","text: Hello"],"logprobs":null}]""", EventText.Of(reply.Response));
        Assert.Equal((10L, 4L, 3L, 1L), (attempt.Meter.Reported!.Value.InputTokens, attempt.Meter.Reported.Value.OutputTokens, attempt.Meter.Reported.Value.CachedInputTokens, attempt.Meter.Reported.Value.ReasoningTokens));
        Assert.Equal(("inner-1", FinishReason.Length), (attempt.Meter.UpstreamModel, attempt.Meter.FinishReason!.Value));
    }

    [Fact]
    public async Task Send_ClientReportsNoUsage_IsLeftToEstimation()
    {
        var provider = Provider(new ScriptedClient { Answer = _ => Task.FromResult(new ChatResponse(new ChatMessage(ChatRole.Assistant, "Hello")) { Usage = new UsageDetails { OutputTokenCount = 4 } }) });
        var attempt = InnerCall.AttemptAt(provider, "rag");
        await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), attempt, Token);
        Assert.Null(attempt.Meter.Reported);
        Assert.Equal(5, attempt.Meter.OutputBytes);
    }

    [Fact]
    public async Task Send_ToolCallsHandledByChatClient_AreHidden()
    {
        var provider = Provider(new ScriptedClient
        {
            Stream = _ => Updates(
                ScriptedClient.Of(new FunctionCallContent("own", "search", new Dictionary<string, object?> { ["q"] = "x" })),
                new ChatResponseUpdate(null, (IList<AIContent>)[]) { FinishReason = ChatFinishReason.ToolCalls },
                new ChatResponseUpdate(ChatRole.Tool, [new FunctionResultContent("own", "found")]),
                ScriptedClient.Text("Answer"),
                ScriptedClient.Of(new FunctionCallContent("", "ask_user", new Dictionary<string, object?> { ["n"] = 1, ["s"] = "ü", ["l"] = JsonDocument.Parse("[true]").RootElement }))),
        });
        var events = await StreamAsync(provider);
        Assert.DoesNotContain(events, e => e is ToolCallStarted { Name: "search" });
        var started = Assert.IsType<ToolCallStarted>(events[^3]);
        Assert.StartsWith("call_", started.Id, StringComparison.Ordinal);
        Assert.Equal("""{"n":1,"s":"ü","l":[true]}""", Assert.IsType<ToolCallDelta>(events[^2]).Arguments);
        Assert.Equal(FinishReason.ToolCalls, Assert.IsType<ChoiceFinished>(events[^1]).Reason);
    }

    [Fact]
    public async Task Stream_AllToolCallsHandledByChatClient_FinishesWithStop()
    {
        var provider = Provider(new ScriptedClient
        {
            Stream = _ => Updates(
                new ChatResponseUpdate(ChatRole.Assistant, [new FunctionCallContent("own", "search")]) { FinishReason = ChatFinishReason.ToolCalls },
                new ChatResponseUpdate(ChatRole.Tool, [new FunctionResultContent("own", "found")]),
                ScriptedClient.Text("Answer")),
        });
        Assert.Equal("""["0 started","0 text \u0022Answer\u0022","0 finished Stop"]""", EventText.Of(await StreamAsync(provider)).ToJsonString());
    }

    [Fact]
    public async Task Stream_UsageCitationsAndRefusal_AreMapped()
    {
        var provider = Provider(new ScriptedClient
        {
            Stream = _ => Updates(
                ScriptedClient.Text("As said"),
                ScriptedClient.Of(new TextContent(" here.") { Annotations = [new CitationAnnotation { Url = new Uri("https://example.org/d"), Title = "D" }] }),
                ScriptedClient.Of(new ErrorContent("I will not.") { ErrorCode = "Refusal" }),
                ScriptedClient.Of(new UsageContent(new UsageDetails { InputTokenCount = 3, OutputTokenCount = 1 })),
                ScriptedClient.Of(new UsageContent(new UsageDetails { InputTokenCount = 4, OutputTokenCount = 2 }))),
        });
        Assert.Equal(
            [
                "0 started", "0 text \"As said\"", "0 text \" here.\"",
                """0 annotations [{"type":"url_citation","url_citation":{"start_index":7,"end_index":13,"url":"https://example.org/d","title":"D"}}]""",
                "0 refusal I will not.", "0 usage in=3 cached=0 out=1 reasoning=0 measured", "0 usage in=7 cached=0 out=3 reasoning=0 measured", "0 finished Stop",
            ],
            EventText.Of(await StreamAsync(provider)).Select(n => n!.GetValue<string>()));
    }

    [Fact]
    public async Task Stream_AvailableUpdates_ArriveInOneBatch()
    {
        var channel = Channel.CreateUnbounded<ChatResponseUpdate>();
        channel.Writer.TryWrite(ScriptedClient.Text("a"));
        channel.Writer.TryWrite(ScriptedClient.Text("b"));
        var provider = Provider(new ScriptedClient { Stream = token => channel.Reader.ReadAllAsync(token) });
        await using var source = await OpenAsync(provider);
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        Assert.Equal(["", "a", "b"], batch.Items.Select(i => (i.Event as TextDelta)?.Text ?? ""));
        var next = source.ReadAsync(batch, Token);
        Assert.False(next.IsCompleted);
        channel.Writer.TryWrite(ScriptedClient.Text("c"));
        Assert.True(await next);
        Assert.Equal("c", ((TextDelta)batch.Items[0].Event!).Text);
    }

    [Fact]
    public async Task Stream_Disposed_CancelsChatClientImmediately()
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var provider = Provider(new ScriptedClient { Stream = token => WaitAfterFirst(cancelled, token) });
        var source = await OpenAsync(provider);
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        using var reader = new CancellationTokenSource();
        var pending = source.ReadAsync(batch, reader.Token).AsTask();
        await reader.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pending);
        await source.DisposeAsync();
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task Stream_ChatClientIgnoresCancellation_IsAbandoned()
    {
        var never = new TaskCompletionSource();
        var provider = Provider(new ScriptedClient { Stream = _ => Deaf(never.Task) });
        var source = await OpenAsync(provider);
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        using var reader = new CancellationTokenSource();
        var pending = source.ReadAsync(batch, reader.Token).AsTask();
        await reader.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pending);
        await source.DisposeAsync();
        never.SetResult();
    }

    [Fact]
    public async Task Stream_FirstTokenTooLate_TimesOut()
    {
        var time = new FakeTimeProvider();
        var waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var provider = Provider(new ScriptedClient { Stream = token => Silent(waiting, token) }, time);
        var sending = provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi"), stream: true), InnerCall.AttemptAt(provider, "rag", new ProviderTimeouts { FirstToken = TimeSpan.FromSeconds(5) }), Token).AsTask();
        await waiting.Task;
        time.Advance(TimeSpan.FromSeconds(5));
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(await sending);
        Assert.Equal((ErrorCode.ProviderTimeout, FailureClass.Failover), (failed.Error.Code, failed.Class));
    }

    [Fact]
    public async Task Stream_IdleTooLong_EndsWithTimeout()
    {
        var time = new FakeTimeProvider();
        var channel = Channel.CreateUnbounded<ChatResponseUpdate>();
        channel.Writer.TryWrite(ScriptedClient.Text("a"));
        var provider = Provider(new ScriptedClient { Stream = token => channel.Reader.ReadAllAsync(token) }, time);
        var reply = await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi"), stream: true), InnerCall.AttemptAt(provider, "rag", new ProviderTimeouts { StreamIdle = TimeSpan.FromSeconds(5) }), Token);
        await using var source = Assert.IsType<GatewayReply.Streaming>(reply).Events;
        using var batch = new EventBatch();
        Assert.True(await source.ReadAsync(batch, Token));
        // Time that the reader takes for itself is not the client's.
        time.Advance(TimeSpan.FromMinutes(2));
        var next = source.ReadAsync(batch, Token).AsTask();
        Assert.False(next.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.True(await next);
        Assert.Equal(ErrorCode.ProviderTimeout, Assert.IsType<AttemptFailed>(batch.Items[^1].Event).Error.Code);
        Assert.False(await source.ReadAsync(batch, Token));
    }

    [Fact]
    public async Task Send_TotalTimeout_FailsEvenWhenChatClientIgnoresCancellation()
    {
        var time = new FakeTimeProvider();
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var provider = Provider(
            new ScriptedClient
            {
                Answer = _ =>
                {
                    asked.SetResult();
                    return new TaskCompletionSource<ChatResponse>().Task;
                },
            }, time);
        var sending = provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), InnerCall.AttemptAt(provider, "rag", new ProviderTimeouts { Total = TimeSpan.FromSeconds(5) }), Token).AsTask();
        await asked.Task;
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(ErrorCode.ProviderTimeout, Assert.IsType<GatewayReply.AttemptFailed>(await sending).Error.Code);
    }

    public static TheoryData<Exception, string, string> Exceptions => new()
    {
        { new InvalidOperationException("secret prompt"), "provider_error", "Failover" },
        { new HttpRequestException("https://inner.example secret"), "provider_error", "Retry" },
        { new TimeoutException("secret"), "provider_timeout", "Failover" },
        { new OperationCanceledException("secret"), "provider_timeout", "Failover" },
        { new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter, "Ask about ships.") { Parameter = "messages" }), "invalid_parameter", "GiveBack" },
        { new GatewayErrorException(new GatewayError(ErrorCode.StoreUnavailable, "The index is being rebuilt.")), "store_unavailable", "Failover" },
    };

    [Theory]
    [MemberData(nameof(Exceptions))]
    public async Task Send_ClientThrows_FailsWithoutExceptionMessage(Exception exception, string code, string failureClass)
    {
        var provider = Provider(new ScriptedClient { Answer = _ => throw exception, Stream = _ => throw exception });
        foreach (var stream in new[] { false, true })
        {
            var failed = Assert.IsType<GatewayReply.AttemptFailed>(
                await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi"), stream), InnerCall.AttemptAt(provider, "rag"), Token));
            Assert.Equal((code, failureClass), (failed.Error.Definition.Name, failed.Class.ToString()));
            Assert.DoesNotContain("secret", failed.Error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Stream_ChatClientThrowsMidway_EndsWithFailure()
    {
        var opened = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var provider = Provider(new ScriptedClient { Stream = _ => ThrowAfterFirst(opened.Task) });
        var stream = await OpenAsync(provider);
        opened.SetResult();
        var events = await InnerCall.ReadAllAsync(stream, Token);
        Assert.Equal("0 failed provider_error: The model failed to respond.", EventText.Of(events)[^1]!.GetValue<string>());
        Assert.Contains(events, e => e is TextDelta { Text: "a" });
    }

    [Fact]
    public async Task Send_ErrorContent_FailsWithoutErrorDetails()
    {
        var provider = Provider(new ScriptedClient { Answer = _ => Task.FromResult(new ChatResponse(new ChatMessage(ChatRole.Assistant, [new TextContent("a"), new ErrorContent("secret")]))) });
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), InnerCall.AttemptAt(provider, "rag"), Token));
        Assert.Equal("The model failed to respond.", failed.Error.Message);
    }

    [Fact]
    public async Task Send_CallerCancels_Throws()
    {
        using var caller = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var provider = Provider(new ScriptedClient
        {
            Answer = async token =>
            {
                await caller.CancelAsync();
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
                return new ChatResponse();
            },
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), InnerCall.AttemptAt(provider, "rag"), caller.Token));
    }

    [Theory]
    [InlineData("n")]
    [InlineData("logprobs")]
    [InlineData("logit_bias")]
    [InlineData("modalities")]
    [InlineData("tools")]
    [InlineData("web_search_options")]
    public async Task Send_ParameterIChatClientDoesNotSupport_IsRefused(string parameter)
    {
        var ask = InnerCall.Ask("Hi");
        var request = parameter switch
        {
            "n" => ask with { ChoiceCount = 2 },
            "logprobs" => ask with { Sampling = new() { Logprobs = true } },
            "logit_bias" => ask with { Sampling = new() { LogitBias = new Dictionary<string, double> { ["1"] = 1 } } },
            "modalities" => ask with { Audio = new("a", "wav") },
            "tools" => ask with { Tools = [new("t") { Kind = ToolKind.Custom }] },
            _ => ask with { Extra = new JsonObject { [parameter] = new JsonObject() } },
        };
        var provider = Provider(new ScriptedClient());
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(await provider.SendAsync(InnerCall.Of(request), InnerCall.AttemptAt(provider, "rag"), Token));
        Assert.Equal((ErrorCode.UnsupportedParameter, parameter), (failed.Error.Code, failed.Error.Parameter));
    }

    [Fact]
    public async Task Send_InlineDataNotBase64_ReturnsInvalidParameter()
    {
        var provider = Provider(new ScriptedClient());
        var request = new ConversationRequest { Messages = [new(Role.User, [new ImagePart(null, "image/png", "***")])] };
        var failed = Assert.IsType<GatewayReply.AttemptFailed>(await provider.SendAsync(InnerCall.Of(request), InnerCall.AttemptAt(provider, "rag"), Token));
        Assert.Equal((ErrorCode.InvalidParameter, FailureClass.GiveBack), (failed.Error.Code, failed.Class));
    }

    private static ChatClientProvider Provider(IChatClient client, TimeProvider? time = null) => new("rag", client, time ?? TimeProvider.System, NullLogger.Instance);

    private static async Task<IEventSource> OpenAsync(ChatClientProvider provider) => Assert.IsType<GatewayReply.Streaming>(
        await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi"), stream: true), InnerCall.AttemptAt(provider, "rag"), Token)).Events;

    private static async Task<List<GenerationEvent>> StreamAsync(ChatClientProvider provider) => await InnerCall.ReadAllAsync(await OpenAsync(provider), Token);

    private static async IAsyncEnumerable<ChatResponseUpdate> Updates(params ChatResponseUpdate[] updates)
    {
        foreach (var update in updates)
        {
            await Task.Yield();
            yield return update;
        }
    }

    private static async IAsyncEnumerable<ChatResponseUpdate> WaitAfterFirst(TaskCompletionSource cancelled, [EnumeratorCancellation] CancellationToken token)
    {
        yield return ScriptedClient.Text("a");
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
        }
        finally
        {
            cancelled.TrySetResult();
        }
    }

    private static async IAsyncEnumerable<ChatResponseUpdate> Silent(TaskCompletionSource waiting, [EnumeratorCancellation] CancellationToken token)
    {
        waiting.TrySetResult();
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
        yield break;
    }

    private static async IAsyncEnumerable<ChatResponseUpdate> Deaf(Task task)
    {
        yield return ScriptedClient.Text("a");
        await task;
    }

    private static async IAsyncEnumerable<ChatResponseUpdate> ThrowAfterFirst(Task opened)
    {
        yield return ScriptedClient.Text("a");
        await opened;
        throw new InvalidOperationException("secret");
    }
}

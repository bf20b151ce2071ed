using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Embeddings;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>The official .NET client of OpenAI.</summary>
public sealed class OpenAiClientTests(GatewayFixture fixture) : IClassFixture<GatewayFixture>
{
    private const string Schema = """{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"],"additionalProperties":false}""";

    [Fact]
    public async Task Chat_Answers_WithUsage()
    {
        ChatCompletion answer = await Chat("sim-echo").CompleteChatAsync([new UserChatMessage("Hello, .NET")], cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("Hello, .NET", answer.Content[0].Text);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Assert.True(answer.Usage.InputTokenCount > 0);
        Assert.Equal("sim-echo", answer.Model);
    }

    [Fact]
    public async Task Stream_Pieces_AreTheText()
    {
        const string text = "One piece after the other until all of them are here.";
        var got = new StringBuilder();
        var pieces = 0;
        ChatFinishReason? finish = null;
        await foreach (var update in Chat("sim-echo").CompleteChatStreamingAsync([new UserChatMessage(text)], cancellationToken: TestContext.Current.CancellationToken))
        {
            foreach (var part in update.ContentUpdate)
            {
                got.Append(part.Text);
                pieces++;
            }
            finish ??= update.FinishReason;
        }
        Assert.Equal(text, got.ToString());
        Assert.Equal(ChatFinishReason.Stop, finish);
        Assert.True(pieces > 3);
    }

    [Fact]
    public async Task Tools_StreamedArguments_AreJsonOfTheSchema()
    {
        var options = new ChatCompletionOptions { Tools = { ChatTool.CreateFunctionTool("get_weather", "The weather", BinaryData.FromString(Schema)) } };
        var arguments = new StringBuilder();
        string? name = null;
        await foreach (var update in Chat("sim-tools").CompleteChatStreamingAsync([new UserChatMessage("Weather in Oslo?")], options, TestContext.Current.CancellationToken))
        {
            foreach (var call in update.ToolCallUpdates)
            {
                name ??= call.FunctionName;
                if (call.FunctionArgumentsUpdate is { } piece && piece.ToMemory().Length > 0) arguments.Append(piece);
            }
        }
        Assert.Equal("get_weather", name);
        using var parsed = JsonDocument.Parse(arguments.ToString());
        Assert.Equal(JsonValueKind.String, parsed.RootElement.GetProperty("city").ValueKind);
    }

    [Fact]
    public async Task StructuredOutput_FitsItsSchema()
    {
        var options = new ChatCompletionOptions { ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("weather", BinaryData.FromString(Schema), jsonSchemaIsStrict: true) };
        ChatCompletion answer = await Chat("sim-json").CompleteChatAsync([new UserChatMessage("Weather as JSON")], options, TestContext.Current.CancellationToken);
        using var parsed = JsonDocument.Parse(answer.Content[0].Text);
        Assert.Equal(JsonValueKind.Number, parsed.RootElement.GetProperty("days").ValueKind);
    }

    [Fact]
    public async Task Embeddings_HaveUnitLength()
    {
        var client = new EmbeddingClient("sim-embed", new ApiKeyCredential(fixture.Gateway.Key), Options());
        OpenAIEmbeddingCollection vectors = await client.GenerateEmbeddingsAsync(["one", "two"], cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(2, vectors.Count);
        Assert.Equal(1.0, Math.Sqrt(vectors[0].ToFloats().ToArray().Sum(x => x * x)), 3);
    }

    [Theory]
    [InlineData("sim-fast", "status=400", 400)]
    [InlineData("sim-fast", "status=429; retry_after=7", 429)]
    [InlineData("sim-fast", "status=503; retry_after=7", 503)]
    [InlineData("no-such-model", null, 404)]
    public async Task Errors_CarryTheStatus(string model, string? simulate, int status)
    {
        var options = Options();
        if (simulate is not null) options.AddPolicy(new Header("Fairlead-Simulate", simulate), PipelinePosition.PerCall);
        var client = new ChatClient(model, new ApiKeyCredential(fixture.Gateway.Key), options);
        var exception = await Assert.ThrowsAsync<ClientResultException>(() => client.CompleteChatAsync([new UserChatMessage("x")], cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(status, exception.Status);
    }

    [Fact]
    public async Task Errors_WrongAndNarrowKeys_Are401And403()
    {
        var (narrow, _) = await fixture.Gateway.MakeKeyAsync("\"scopes\":[\"models:read\"]");
        foreach (var (key, status) in new[] { ("fl_nobody", 401), (narrow, 403) })
        {
            var client = new ChatClient("sim-fast", new ApiKeyCredential(key), Options());
            var exception = await Assert.ThrowsAsync<ClientResultException>(() => client.CompleteChatAsync([new UserChatMessage("x")], cancellationToken: TestContext.Current.CancellationToken));
            Assert.Equal(status, exception.Status);
        }
    }

    [Fact]
    public async Task Stream_Cut_Throws()
    {
        var options = Options();
        options.AddPolicy(new Header("Fairlead-Simulate", "cut_after=3"), PipelinePosition.PerCall);
        var client = new ChatClient("sim-fast", new ApiKeyCredential(fixture.Gateway.Key), options);
        var got = 0;
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await foreach (var update in client.CompleteChatStreamingAsync([new UserChatMessage("A long story")], cancellationToken: TestContext.Current.CancellationToken)) got += update.ContentUpdate.Count;
        });
        Assert.True(got > 0);
    }

    private ChatClient Chat(string model) => new(model, new ApiKeyCredential(fixture.Gateway.Key), Options());

    private OpenAIClientOptions Options() => new() { Endpoint = new Uri(fixture.Gateway.Url + "/v1"), RetryPolicy = new ClientRetryPolicy(0) };

    private sealed class Header(string name, string value) : PipelinePolicy
    {
        public override void Process(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set(name, value);
            ProcessNext(message, pipeline, currentIndex);
        }

        public override ValueTask ProcessAsync(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set(name, value);
            return ProcessNextAsync(message, pipeline, currentIndex);
        }
    }
}

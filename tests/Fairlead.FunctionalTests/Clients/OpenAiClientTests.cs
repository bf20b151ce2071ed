using System.ClientModel;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using OpenAI.Chat;
using OpenAI.Embeddings;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>The official .NET client of OpenAI.</summary>
public sealed class OpenAiClientTests(GatewayFixture fixture) : IClassFixture<GatewayFixture>
{
    private const string Schema = """{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"],"additionalProperties":false}""";

    [Fact]
    [Shows(ClientTable.Chat)]
    public async Task Chat_Completion_ReturnsTextAndUsage()
    {
        ChatCompletion answer = await Chat("sim-echo").CompleteChatAsync([new UserChatMessage("Hello, .NET")], cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("Hello, .NET", answer.Content[0].Text);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Assert.True(answer.Usage.InputTokenCount > 0);
        Assert.Equal("sim-echo", answer.Model);
    }

    [Fact]
    [Shows(ClientTable.Stream)]
    public async Task Stream_Deltas_ConcatenateToText()
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
    [Shows(ClientTable.Tools)]
    public async Task Tools_StreamedArguments_MatchSchema()
    {
        var options = new ChatCompletionOptions { Tools = { ChatTool.CreateFunctionTool("get_weather", "The weather", BinaryData.FromString(Schema)) } };
        var arguments = new StringBuilder();
        string? name = null;
        var pieces = 0;
        await foreach (var update in Chat("sim-tools").CompleteChatStreamingAsync([new UserChatMessage("Weather in Oslo?")], options, TestContext.Current.CancellationToken))
        {
            foreach (var call in update.ToolCallUpdates)
            {
                name ??= call.FunctionName;
                if (call.FunctionArgumentsUpdate is not { } piece || piece.ToMemory().Length == 0) continue;
                arguments.Append(piece);
                pieces++;
            }
        }
        Assert.True(pieces > 1);
        Assert.Equal("get_weather", name);
        using var parsed = JsonDocument.Parse(arguments.ToString());
        Assert.Equal(JsonValueKind.String, parsed.RootElement.GetProperty("city").ValueKind);
    }

    [Fact]
    [Shows(ClientTable.StructuredOutput)]
    public async Task StructuredOutput_MatchesSchema()
    {
        var options = new ChatCompletionOptions { ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("weather", BinaryData.FromString(Schema), jsonSchemaIsStrict: true) };
        ChatCompletion answer = await Chat("sim-json").CompleteChatAsync([new UserChatMessage("Weather as JSON")], options, TestContext.Current.CancellationToken);
        using var parsed = JsonDocument.Parse(answer.Content[0].Text);
        Assert.Equal(JsonValueKind.Number, parsed.RootElement.GetProperty("days").ValueKind);
    }

    [Fact]
    [Shows(ClientTable.Embeddings)]
    public async Task Embeddings_HaveUnitLength()
    {
        var client = new EmbeddingClient("sim-embed", new ApiKeyCredential(fixture.Gateway.Key), OpenAiOptions.For(fixture.Gateway));
        OpenAIEmbeddingCollection vectors = await client.GenerateEmbeddingsAsync(["one", "two"], cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(2, vectors.Count);
        Assert.Equal(1.0, Math.Sqrt(vectors[0].ToFloats().ToArray().Sum(x => x * x)), 3);
    }

    [Fact]
    [Shows(ClientTable.BadRequest)]
    public Task Errors_RejectedRequest_Returns400() => FailsAsync(400, simulate: "status=400");

    [Fact]
    [Shows(ClientTable.Unauthorized)]
    public Task Errors_UnknownKey_Returns401() => FailsAsync(401, key: "fl_nobody");

    [Fact]
    [Shows(ClientTable.Forbidden)]
    public async Task Errors_KeyWithoutScope_Returns403()
    {
        var (narrow, _) = await fixture.Gateway.MakeKeyAsync("\"scopes\":[\"models:read\"]");
        await FailsAsync(403, key: narrow);
    }

    [Fact]
    [Shows(ClientTable.NotFound)]
    public async Task Errors_UnknownModel_Returns404() => Assert.Contains("no-such-model", (await FailsAsync(404, "no-such-model")).Message, StringComparison.Ordinal);

    [Fact]
    [Shows(ClientTable.TooManyRequests)]
    public async Task Errors_ProviderRateLimit_Returns429()
    {
        var error = await FailsAsync(429, simulate: "status=429; retry_after=7");
        Assert.True(error.GetRawResponse()!.Headers.TryGetValue("retry-after", out var seconds));
        Assert.Equal("7", seconds);
    }

    [Fact]
    [Shows(ClientTable.Unavailable)]
    public Task Errors_BusyProvider_Returns503() => FailsAsync(503, simulate: "status=503; retry_after=7");

    [Fact]
    public async Task Errors_BeforeStreamStarts_ReturnStatus()
    {
        var client = new ChatClient("sim-fast", new ApiKeyCredential(fixture.Gateway.Key), OpenAiOptions.For(fixture.Gateway, "status=429; retry_after=7"));
        var error = await Assert.ThrowsAsync<ClientResultException>(async () =>
        {
            await foreach (var update in client.CompleteChatStreamingAsync([new UserChatMessage("x")], cancellationToken: TestContext.Current.CancellationToken)) Assert.Empty(update.ContentUpdate);
        });
        Assert.Equal(429, error.Status);
    }

    [Fact]
    [Shows(ClientTable.CutStream)]
    public async Task Stream_Truncated_Throws()
    {
        var client = new ChatClient("sim-fast", new ApiKeyCredential(fixture.Gateway.Key), OpenAiOptions.For(fixture.Gateway, "cut_after=3"));
        var got = 0;
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await foreach (var update in client.CompleteChatStreamingAsync([new UserChatMessage("A long story")], cancellationToken: TestContext.Current.CancellationToken)) got += update.ContentUpdate.Count;
        });
        Assert.True(got > 0);
    }

    private async Task<ClientResultException> FailsAsync(int status, string model = "sim-fast", string? key = null, string? simulate = null)
    {
        var client = new ChatClient(model, new ApiKeyCredential(key ?? fixture.Gateway.Key), OpenAiOptions.For(fixture.Gateway, simulate));
        var error = await Assert.ThrowsAsync<ClientResultException>(() => client.CompleteChatAsync([new UserChatMessage("x")], cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(status, error.Status);
        return error;
    }

    private ChatClient Chat(string model) => new(model, new ApiKeyCredential(fixture.Gateway.Key), OpenAiOptions.For(fixture.Gateway));
}

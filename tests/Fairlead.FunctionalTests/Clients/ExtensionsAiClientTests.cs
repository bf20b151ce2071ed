using System.ClientModel;
using System.ComponentModel;
using System.Text;
using Fairlead.FunctionalTests.Common;
using Microsoft.Extensions.AI;
using OpenAI;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>Microsoft.Extensions.AI over the OpenAI client.</summary>
public sealed class ExtensionsAiClientTests(GatewayFixture fixture) : IClassFixture<GatewayFixture>
{
    [Fact]
    [Shows(ClientTable.Chat)]
    public async Task Chat_GetResponse_ReturnsTextAndUsage()
    {
        var answer = await Chat("sim-echo").GetResponseAsync("Hello, abstraction", cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("Hello, abstraction", answer.Text);
        Assert.True(answer.Usage?.TotalTokenCount > 0);
    }

    [Fact]
    [Shows(ClientTable.Stream)]
    public async Task Stream_Echo_ReturnsSameText()
    {
        var text = new StringBuilder();
        await foreach (var update in Chat("sim-echo").GetStreamingResponseAsync("Bit by bit it comes along", cancellationToken: TestContext.Current.CancellationToken)) text.Append(update.Text);
        Assert.Equal("Bit by bit it comes along", text.ToString());
    }

    [Fact]
    public async Task Tools_FunctionInvocation_IsCalledAndAnswered()
    {
        var asked = new List<string>();
        using var client = Chat("sim-tools").AsBuilder().UseFunctionInvocation().Build();
        var tool = AIFunctionFactory.Create(([Description("A city")] string city) =>
        {
            asked.Add(city);
            return "sunny";
        }, "get_weather");
        var answer = await client.GetResponseAsync("Weather in Oslo?", new ChatOptions { Tools = [tool] }, TestContext.Current.CancellationToken);
        Assert.Single(asked);
        Assert.NotEmpty(answer.Text);
    }

    [Fact]
    [Shows(ClientTable.StructuredOutput)]
    public async Task StructuredOutput_Deserializes()
    {
        var answer = await Chat("sim-json").GetResponseAsync<Weather>("Weather", cancellationToken: TestContext.Current.CancellationToken);
        Assert.NotNull(answer.Result.City);
    }

    [Fact]
    [Shows(ClientTable.Embeddings)]
    public async Task Embeddings_HaveUnitLength()
    {
        using var generator = Client().GetEmbeddingClient("sim-embed").AsIEmbeddingGenerator();
        var vectors = await generator.GenerateAsync(["one", "two"], cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(1.0, Math.Sqrt(vectors[1].Vector.ToArray().Sum(x => x * x)), 3);
    }

    [Fact]
    [Shows(ClientTable.Tools)]
    public async Task Tools_StreamedArguments_AreMergedIntoOneCall()
    {
        var tool = AIFunctionFactory.Create(([Description("A city")] string city) => city, "get_weather");
        var calls = new List<FunctionCallContent>();
        ChatFinishReason? finish = null;
        await foreach (var update in Chat("sim-tools").GetStreamingResponseAsync("Weather in Oslo?", new ChatOptions { Tools = [tool] }, TestContext.Current.CancellationToken))
        {
            calls.AddRange(update.Contents.OfType<FunctionCallContent>());
            finish = update.FinishReason ?? finish;
        }
        var call = Assert.Single(calls);
        Assert.Null(call.Exception);
        Assert.Equal((ChatFinishReason.ToolCalls, "get_weather"), (finish, call.Name));
        Assert.NotEmpty(Assert.IsType<string>(call.Arguments!["city"]?.ToString()));
    }

    [Fact]
    [Shows(ClientTable.CutStream)]
    public async Task Stream_Truncated_ThrowsAfterReceivedContent()
    {
        using var chat = Client(simulate: "cut_after=3").GetChatClient("sim-fast").AsIChatClient();
        var text = new StringBuilder();
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await foreach (var update in chat.GetStreamingResponseAsync("A long story", cancellationToken: TestContext.Current.CancellationToken)) text.Append(update.Text);
        });
        Assert.NotEmpty(text.ToString());
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
    public Task Errors_UnknownModel_Returns404() => FailsAsync(404, "no-such-model");

    [Fact]
    [Shows(ClientTable.TooManyRequests)]
    public Task Errors_ProviderRateLimit_Returns429() => FailsAsync(429, simulate: "status=429; retry_after=7");

    [Fact]
    [Shows(ClientTable.Unavailable)]
    public Task Errors_BusyProvider_Returns503() => FailsAsync(503, simulate: "status=503; retry_after=7");

    private async Task FailsAsync(int status, string model = "sim-fast", string? key = null, string? simulate = null)
    {
        using var chat = Client(key, simulate).GetChatClient(model).AsIChatClient();
        var error = await Assert.ThrowsAsync<ClientResultException>(() => chat.GetResponseAsync("x", cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(status, error.Status);
    }

    private IChatClient Chat(string model) => Client().GetChatClient(model).AsIChatClient();

    private OpenAIClient Client(string? key = null, string? simulate = null) => new(new ApiKeyCredential(key ?? fixture.Gateway.Key), OpenAiOptions.For(fixture.Gateway, simulate));

    private sealed record Weather(string City, int Days);
}

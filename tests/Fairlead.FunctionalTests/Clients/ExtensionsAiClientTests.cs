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
    public async Task Chat_AnswersWithUsage()
    {
        var answer = await Chat("sim-echo").GetResponseAsync("Hello, abstraction", cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("Hello, abstraction", answer.Text);
        Assert.True(answer.Usage?.TotalTokenCount > 0);
    }

    [Fact]
    public async Task Stream_IsTheSameText()
    {
        var text = new StringBuilder();
        await foreach (var update in Chat("sim-echo").GetStreamingResponseAsync("Bit by bit it comes along", cancellationToken: TestContext.Current.CancellationToken)) text.Append(update.Text);
        Assert.Equal("Bit by bit it comes along", text.ToString());
    }

    [Fact]
    public async Task Tools_AreInvokedAndAnswered()
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
    public async Task StructuredOutput_Deserializes()
    {
        var answer = await Chat("sim-json").GetResponseAsync<Weather>("Weather", cancellationToken: TestContext.Current.CancellationToken);
        Assert.NotNull(answer.Result.City);
    }

    [Fact]
    public async Task Embeddings_HaveUnitLength()
    {
        using var generator = Client().GetEmbeddingClient("sim-embed").AsIEmbeddingGenerator();
        var vectors = await generator.GenerateAsync(["one", "two"], cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(1.0, Math.Sqrt(vectors[1].Vector.ToArray().Sum(x => x * x)), 3);
    }

    [Fact]
    public async Task Errors_CarryTheStatus()
    {
        var exception = await Assert.ThrowsAsync<ClientResultException>(() => Chat("no-such-model").GetResponseAsync("x", cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(404, exception.Status);
    }

    private IChatClient Chat(string model) => Client().GetChatClient(model).AsIChatClient();

    private OpenAIClient Client() => new(new ApiKeyCredential(fixture.Gateway.Key), new OpenAIClientOptions { Endpoint = new Uri(fixture.Gateway.Url + "/v1") });

    private sealed record Weather(string City, int Days);
}

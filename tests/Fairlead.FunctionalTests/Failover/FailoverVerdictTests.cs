using System.IO.Pipelines;
using System.Net;
using System.Text;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Routing;
using Fairlead.Server.Failover;

namespace Fairlead.FunctionalTests.Failover;

/// <summary>The judgement of the failover suite fails for what a gateway must not do.</summary>
public sealed class FailoverVerdictTests
{
    private static readonly FailoverTarget Rescued = new("assistant", 2)
    {
        CanRescue = true,
        HasLargerModel = true,
        FailsOverContentRejections = true,
        ReportedModels = new HashSet<string> { "assistant" },
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("chat", "", false)]
    [InlineData("chat", "length", false)]
    [InlineData("chat", "stop", true)]
    [InlineData("messages", "", false)]
    [InlineData("messages", "max_tokens", false)]
    [InlineData("messages", "end_turn", true)]
    [InlineData("responses", "incomplete", false)]
    [InlineData("responses", "completed", true)]
    public async Task Read_WholeTextWithLastEvent_IsCompleteOnlyWithItsReason(string api, string reason, bool complete)
    {
        var text = System.Text.Json.JsonSerializer.Serialize(SimulatedText.Whole);
        var end = reason == "" ? ""
            : api == "chat" ? $$"""data: {"choices":[{"delta":{},"finish_reason":"{{reason}}"}]}"""
            : $$$"""data: {"type":"message_delta","delta":{"stop_reason":"{{{reason}}}"}}""";
        var events = api switch
        {
            "chat" => $$$"""
                data: {"model":"assistant","choices":[{"delta":{"content":{{{text}}}}}]}

                {{{end}}}

                data: [DONE]


                """,
            "messages" => $$$"""
                data: {"type":"message_start","message":{"model":"assistant"}}

                data: {"type":"content_block_delta","delta":{"type":"text_delta","text":{{{text}}}}}

                {{{end}}}

                data: {"type":"message_stop"}


                """,
            _ => $$$"""
                data: {"type":"response.created","response":{"model":"assistant"}}

                data: {"type":"response.output_text.delta","delta":{{{text}}}}

                data: {"type":"response.completed","response":{"status":"{{{reason}}}","model":"assistant"}}


                """,
        };
        using var http = Client(new StringContent(events, Encoding.UTF8, "text/event-stream"));
        var response = await FailoverClient.Of(api).SendAsync(http, "key", "assistant", isStream: true, Token);
        Assert.Equal(SimulatedText.Whole, response.Text);
        Assert.Equal("assistant", response.Model);
        Assert.Equal(complete, FailoverVerdict.Of(Case("missing_end"), response, isStream: true, Rescued).Passed);
    }

    [Fact]
    public async Task Send_StreamNeverEnds_EndsWithToken()
    {
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync("data: {\"choices\":[]}\n\n"u8.ToArray(), Token);
        using var http = Client(new StreamContent(pipe.Reader.AsStream()));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var reading = FailoverClient.Of("chat").SendAsync(http, "key", "assistant", isStream: true, limit.Token);
        Assert.False(reading.IsCompleted);
        await limit.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WaitAsync(TimeSpan.FromSeconds(30), Token));
    }

    [Theory]
    [InlineData("cut", "provider_lost", true)]
    [InlineData("missing_end", "provider_lost", true)]
    [InlineData("context_overflow", "context_length_exceeded", false)]
    [InlineData("content_rejection", "provider_rejected", false)]
    public void Judge_ErrorAlthoughConfigurationHasWayOut_Fails(string name, string code, bool isStream)
    {
        var response = new FailoverResponse(200, "The ", code, HasEnd: false, "assistant");
        Assert.False(FailoverVerdict.Of(Case(name), response, isStream, Rescued).Passed);
        Assert.True(FailoverVerdict.Of(Case(name), response, isStream, new FailoverTarget("assistant", 1)).Passed);
    }

    [Theory]
    [InlineData(null, false)]
    [InlineData(SimulatedText.WrongModel, false)]
    [InlineData("gpt-4o-mini", false)]
    [InlineData("assistant", true)]
    public void Judge_Model_MustBeThatOfTheConfiguration(string? model, bool passes) => Assert.Equal(passes,
        FailoverVerdict.Of(Case("wrong_model"), new FailoverResponse(200, SimulatedText.Whole, null, HasEnd: true, model), false, Rescued).Passed);

    [Theory]
    [InlineData(6, true)]
    [InlineData(8, true)]
    [InlineData(9, false)]
    public void Judge_PrimaryIsDown_MayGetFailuresAndTests(int received, bool passes)
    {
        var breaker = new BreakerConfig { Failures = 5, Interval = TimeSpan.FromMilliseconds(500) };
        Assert.Equal(passes, FailoverSuite.CheckLeftAlone(breaker, TimeSpan.FromSeconds(1.2), received) is null);
    }

    /// <summary>A section that somebody adds must be put into one of the lists.</summary>
    [Fact]
    public void Configuration_EverySection_IsKeptOrLeftOut() => Assert.Equal(
        ConfigurationSections.BuiltIn.Fairlead.Keys.Select(key => key.Name).Order(StringComparer.Ordinal),
        FailoverConfiguration.Kept.Concat(FailoverConfiguration.LeftOut).Order(StringComparer.Ordinal));

    [Fact]
    public void Configuration_Probes_AreRemoved()
    {
        var models = new Dictionary<string, ModelConfig>
        {
            ["m"] = new() { Deployments = [new DeploymentConfig { Provider = "p", Probe = new ProbeConfig() }] },
        };
        var made = FailoverConfiguration.Of(new GatewayConfiguration().With<IReadOnlyDictionary<string, ModelConfig>>(models), "folder");
        Assert.Null(made.Models["m"].Deployments[0].Probe);
    }

    private static FailoverCase Case(string name) => FailoverCase.All.Single(test => test.Name == name);

    private static HttpClient Client(HttpContent content) => new(new Fixed(content)) { BaseAddress = new Uri("http://127.0.0.1") };

    private sealed class Fixed(HttpContent content) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK) { Content = content });
    }
}

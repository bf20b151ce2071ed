using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Transports;

/// <summary>Reaches each time limit of an attempt in real time: who waits, for what, and which error the client gets.</summary>
public sealed class TimeoutTests
{
    private const string Long = "60s";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Connect_TlsHandshakeNeverCompletes_TimesOutAndFailsOver()
    {
        // Takes the connection and never says a word of TLS.
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        await using var gateway = await StartAsync($"https://{silent.LocalEndpoint}", connect: "200ms");
        using var response = await ChatAsync(gateway, "m", stream: false);
        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
        Assert.Equal("provider_timeout", await CodeAsync(response));
        using var other = await ChatAsync(gateway, "either", stream: false);
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
        // Nothing was sent, so nothing is charged for the first attempt.
        var attempts = JsonDocument.Parse(await other.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("fairlead").GetProperty("attempts");
        Assert.Equal(0, attempts[0].GetProperty("cost_usd").GetDecimal());
    }

    [Fact]
    public async Task FirstToken_StreamWithoutContent_TimesOutAndFailsOver()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant"}"""));
            await StallAsync(context);
        };
        await using var gateway = await StartAsync(upstream.Url, firstToken: "300ms");
        using var response = await ChatAsync(gateway, "m", stream: true);
        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
        Assert.Equal("provider_timeout", await CodeAsync(response));
        using var other = await ChatAsync(gateway, "either", stream: true);
        var stream = await SeenStream.ReadAsync(other, Token);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        Assert.False(stream.Broken);
    }

    [Fact]
    public async Task StreamIdle_StreamStalls_EndsWithErrorAfterReceivedContent()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"begun"}"""));
            await StallAsync(context);
        };
        await using var gateway = await StartAsync(upstream.Url, streamIdle: "300ms");
        await AssertBrokenOffAsync(gateway);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task TotalTimeout_ResponseTakesTooLong_ReturnsProviderTimeout(bool stream)
    {
        await using var upstream = await FakeUpstream.StartAsync();
        upstream.Answer = async context =>
        {
            if (stream)
            {
                await FakeUpstream.BeginAsync(context);
                await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"begun"}"""));
            }
            await StallAsync(context);
        };
        await using var gateway = await StartAsync(upstream.Url, total: "500ms");
        if (stream)
        {
            await AssertBrokenOffAsync(gateway);
            return;
        }
        using var response = await ChatAsync(gateway, "m", stream: false);
        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
        Assert.Equal("provider_timeout", await CodeAsync(response));
    }

    [Fact]
    public async Task Response_ProviderHangs_TimesOutAndFailsOverBeforeTotalTimeout()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        upstream.Answer = StallAsync;
        await using var gateway = await StartAsync(upstream.Url, response: "300ms");
        using var hung = await ChatAsync(gateway, "m", stream: false);
        Assert.Equal(HttpStatusCode.GatewayTimeout, hung.StatusCode);
        Assert.Equal("provider_timeout", await CodeAsync(hung));
        using var other = await ChatAsync(gateway, "either", stream: false);
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
    }

    private static async Task AssertBrokenOffAsync(TestGateway gateway)
    {
        using var response = await ChatAsync(gateway, "m", stream: true);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var seen = await SeenStream.ReadAsync(response, Token);
        Assert.Contains(seen.Events, one => one.Data.Contains("begun", StringComparison.Ordinal));
        Assert.Equal("provider_timeout", seen.Events[^1].Json.GetProperty("error").GetProperty("code").GetString());
        Assert.True(seen.Broken);
    }

    // Until the gateway gives up: that its request is aborted is what ends this.
    private static async Task StallAsync(HttpContext context)
    {
        try
        {
            await new TaskCompletionSource().Task.WaitAsync(context.RequestAborted);
        }
        catch (OperationCanceledException)
        {
            // As it should be.
        }
    }

    private static async Task<string?> CodeAsync(HttpResponseMessage response) =>
        JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error").GetProperty("code").GetString();

    private static async Task<HttpResponseMessage> ChatAsync(TestGateway gateway, string model, bool stream)
    {
        var body = $$"""{"model":"{{model}}","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]{{(stream ? ",\"stream\":true" : "")}}}""";
        return await gateway.Client.PostJsonAsync("/v1/chat/completions", body);
    }

    private static Task<TestGateway> StartAsync(string url, string connect = Long, string firstToken = Long, string streamIdle = Long, string response = Long, string total = Long)
    {
        const string Facts = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";
        return TestGateway.StartAsync($$"""
            fairlead:
              providers:
                up: { kind: openai, baseUrl: {{url}}/v1, apiKey: k, timeouts: { connect: {{connect}}, firstToken: {{firstToken}}, streamIdle: {{streamIdle}}, response: {{response}}, total: {{total}} } }
                sim: { kind: simulated }
              models:
                m: { {{Facts}}, deployments: [{ provider: up, model: up-m }] }
                either: { {{Facts}}, deployments: [{ provider: up, model: up-m, priority: 1 }, { provider: sim, model: sim-fast, priority: 2 }] }
            """);
    }
}

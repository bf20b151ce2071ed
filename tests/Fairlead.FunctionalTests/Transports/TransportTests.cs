using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Fairlead.FunctionalTests.Transports;

/// <summary>How the real program reaches its providers: TLS, HTTP/2, proxies. Trust and proxies come from the environment, as operators set them.</summary>
public sealed class TransportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-transport").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(HttpProtocols.Http1AndHttp2, "HTTP/2")]
    [InlineData(HttpProtocols.Http1, "HTTP/1.1")]
    public async Task Tls_TrustedCertificate_UsesBestOfferedProtocol(HttpProtocols offered, string spoken)
    {
        await using var upstream = await TlsUpstream.StartAsync(offered);
        await using var server = await ServeAsync(upstream.Url, ("SSL_CERT_FILE", await upstream.WriteCertificateAsync(_folder)));
        var first = await ChatAsync(server);
        Assert.Equal("over TLS", Text(first));
        // A new connection has its time, one that was open has none.
        Assert.True(Timing(first, "connect") > 0);
        Assert.Equal(0, Timing(await ChatAsync(server), "connect"));
        Assert.Equal([spoken, spoken], upstream.Seen.Select(seen => seen.Protocol));
        Assert.Single(upstream.Seen.Select(seen => seen.Connection).Distinct());
    }

    [Fact]
    public async Task Http2_ClientDisconnects_ResetsOnlyItsStream()
    {
        await using var upstream = await TlsUpstream.StartAsync(HttpProtocols.Http1AndHttp2);
        var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var number = 0;
        upstream.Answer = async context =>
        {
            var mine = Interlocked.Increment(ref number);
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"begun"}"""));
            if (mine == 1)
            {
                context.RequestAborted.Register(left.SetResult);
                await new TaskCompletionSource().Task.WaitAsync(context.RequestAborted);
            }
            await goOn.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":" and ended"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var server = await ServeAsync(upstream.Url, ("SSL_CERT_FILE", await upstream.WriteCertificateAsync(_folder)));
        var first = await OpenAsync(server);
        await FirstBytesAsync(first);
        using var second = await OpenAsync(server);
        var rest = await second.Content.ReadAsStreamAsync(Token);
        Assert.NotEqual(0, await rest.ReadAsync(new byte[1], Token));
        first.Dispose();
        await left.Task.WaitAsync(TimeSpan.FromSeconds(60), Token);
        goOn.SetResult();
        using var reader = new StreamReader(rest);
        var text = await reader.ReadToEndAsync(Token);
        Assert.Contains("and ended", text, StringComparison.Ordinal);
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
        Assert.Equal(2, upstream.Seen.Count);
        Assert.Single(upstream.Seen.Select(seen => seen.Connection).Distinct());
    }

    [Fact]
    public async Task Tls_UntrustedCertificate_FailsOverWithoutLeakingDetails()
    {
        await using var upstream = await TlsUpstream.StartAsync(HttpProtocols.Http1AndHttp2);
        await using var server = await ServeAsync(upstream.Url);
        using var alone = await ChatAsync(server, "m", stream: false);
        Assert.Contains(alone.StatusCode, new[] { HttpStatusCode.BadGateway, HttpStatusCode.ServiceUnavailable });
        var body = await alone.Content.ReadAsStringAsync(Token);
        foreach (var secret in (string[])["127.0.0.1:" + new Uri(upstream.Url).Port, "ertificate", "SSL", "   at "]) Assert.DoesNotContain(secret, body, StringComparison.Ordinal);
        using var second = await ChatAsync(server, "either", stream: false);
        Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        Assert.Empty(upstream.Seen);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public async Task Proxy_FromEnvironment_IsUsedUnlessInNoProxy(bool tls, bool excepted)
    {
        await using var secure = await TlsUpstream.StartAsync(HttpProtocols.Http1AndHttp2);
        await using var plain = await FakeUpstream.StartAsync();
        await using var proxy = new RecordingProxy();
        var url = tls ? secure.Url : plain.Url;
        await using var server = await ServeAsync(
            url,
            ("SSL_CERT_FILE", await secure.WriteCertificateAsync(_folder)),
            ("HTTP_PROXY", proxy.Url),
            ("HTTPS_PROXY", proxy.Url),
            ("NO_PROXY", excepted ? "127.0.0.1" : ""));
        Assert.NotEmpty(Text(await ChatAsync(server)));
        if (excepted) Assert.Empty(proxy.Lines);
        else Assert.StartsWith(tls ? $"CONNECT {new Uri(url).Authority} " : $"POST {url}/v1/chat/completions ", Assert.Single(proxy.Lines), StringComparison.Ordinal);
    }

    /// <summary>A server that is about to go says so (GOAWAY): what runs ends well, what comes goes over a new connection.</summary>
    [Fact]
    public async Task Http2_UpstreamSendsGoAway_StreamCompletesAndNextCallReconnects()
    {
        await using var upstream = await TlsUpstream.StartAsync(HttpProtocols.Http1AndHttp2);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"begun"}"""));
            context.Features.Get<IConnectionLifetimeNotificationFeature>()!.RequestClose();
            await goOn.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":" and ended"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var server = await ServeAsync(upstream.Url, ("SSL_CERT_FILE", await upstream.WriteCertificateAsync(_folder)));
        using var first = await OpenAsync(server);
        var body = await first.Content.ReadAsStreamAsync(Token);
        Assert.NotEqual(0, await body.ReadAsync(new byte[1], Token));
        upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("over another"));
        // GOAWAY may arrive shortly after the content. A call that still uses the old connection is refused there, and retries on another.
        Assert.Equal("over another", Text(await ChatAsync(server)));
        goOn.SetResult();
        using var reader = new StreamReader(body);
        Assert.EndsWith("data: [DONE]\n\n", await reader.ReadToEndAsync(Token), StringComparison.Ordinal);
        Assert.Equal("over another", Text(await ChatAsync(server)));
        Assert.NotEqual(upstream.Seen.First().Connection, upstream.Seen.Last().Connection);
        Assert.All(upstream.Seen, seen => Assert.Equal("HTTP/2", seen.Protocol));
    }

    [Fact]
    public async Task Http2_UpstreamResetsStream_ReturnsErrorOrRetriesBeforeContent()
    {
        await using var upstream = await TlsUpstream.StartAsync(HttpProtocols.Http1AndHttp2);
        upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"begun"}"""));
            FakeUpstream.Cut(context);
        };
        await using var server = await ServeAsync(upstream.Url, ("SSL_CERT_FILE", await upstream.WriteCertificateAsync(_folder)));
        using (var response = await OpenAsync(server))
        {
            var seen = await SeenStream.ReadAsync(response, Token);
            // If the reset arrives with the content, the stream may break before it is read. The gateway then retried until no attempt was
            // left.
            Assert.Contains("provider_error", seen.Raw, StringComparison.Ordinal);
            Assert.DoesNotContain("[DONE]", seen.Raw, StringComparison.Ordinal);
        }
        var number = 0;
        upstream.Answer = context =>
        {
            if (Interlocked.Increment(ref number) > 1) return FakeUpstream.Json(context, FakeUpstream.Completion("the second time"));
            FakeUpstream.Cut(context);
            return Task.CompletedTask;
        };
        Assert.Equal("the second time", Text(await ChatAsync(server)));
        Assert.Equal(2, number);
    }

    [Theory]
    [InlineData("403 Forbidden")]
    [InlineData("407 Proxy Authentication Required")]
    [InlineData("502 Bad Gateway")]
    public async Task Proxy_RefusesConnection_Returns503AndChargesNothing(string refusal)
    {
        await using var secure = await TlsUpstream.StartAsync(HttpProtocols.Http1AndHttp2);
        await using var proxy = new RecordingProxy { Refusal = refusal };
        await using var server = await ServeAsync(secure.Url, ("SSL_CERT_FILE", await secure.WriteCertificateAsync(_folder)), ("HTTPS_PROXY", proxy.Url), ("NO_PROXY", ""));
        using var refused = await ChatAsync(server, "m", stream: false);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Contains("provider_unavailable", await refused.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        using var second = await ChatAsync(server, "either", stream: false);
        Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        Assert.All(JsonDocument.Parse(await second.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("fairlead").GetProperty("attempts").EnumerateArray().SkipLast(1),
            attempt => Assert.Equal(0, attempt.GetProperty("cost_usd").GetDecimal()));
        Assert.Empty(secure.Seen);
        Assert.NotEmpty(proxy.Lines);
    }

    private static string Text(JsonElement answer) => answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!;

    private static double Timing(JsonElement answer, string phase) => answer.GetProperty("fairlead").GetProperty("timing_ms").GetProperty(phase).GetDouble();

    private static async Task FirstBytesAsync(HttpResponseMessage response)
    {
        var body = await response.Content.ReadAsStreamAsync(Token);
        Assert.NotEqual(0, await body.ReadAsync(new byte[1], Token));
    }

    private static async Task<JsonElement> ChatAsync(ServerProcess server)
    {
        using var response = await ChatAsync(server, "m", stream: false);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement;
    }

    private static Task<HttpResponseMessage> OpenAsync(ServerProcess server) => ChatAsync(server, "m", stream: true);

    private static async Task<HttpResponseMessage> ChatAsync(ServerProcess server, string model, bool stream)
    {
        var body = $$"""{"model":"{{model}}","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]{{(stream ? ",\"stream\":true" : "")}}}""";
        return await server.Client.PostJsonAsync(server.Address + "/v1/chat/completions", body, [("Authorization", $"Bearer {await server.ClientKeyAsync()}")]);
    }

    private async Task<ServerProcess> ServeAsync(string url, params (string Name, string Value)[] environment)
    {
        const string Facts = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";
        var path = Path.Combine(_folder, "fairlead.yaml");
        await File.WriteAllTextAsync(
            path,
            $$"""
            fairlead:
              providers:
                up: { kind: openai, baseUrl: {{url}}/v1, apiKey: k }
                sim: { kind: simulated }
              models:
                m: { {{Facts}}, deployments: [{ provider: up, model: up-m }] }
                either: { {{Facts}}, deployments: [{ provider: up, model: up-m, priority: 1 }, { provider: sim, model: sim-fast, priority: 2 }] }
            """,
            Token);
        return await ServerProcess.ServeAsync(_folder, [.. environment]);
    }
}

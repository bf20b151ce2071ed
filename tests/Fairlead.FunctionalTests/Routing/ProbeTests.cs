using System.Net;
using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>The gateway itself finds out whether a deployment works, and no call of a client tests it then.</summary>
public sealed class ProbeTests : IAsyncLifetime
{
    private const string Facts =
        "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }";

    private FakeUpstream _upstream = null!;
    private volatile bool _works = true;
    private volatile bool _isHealthy = true;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = AnswerAsync;
    }

    public async ValueTask DisposeAsync() => await _upstream.DisposeAsync();

    [Fact]
    public async Task Path_DeploymentDown_ProbesTestItAndNoCallDoes()
    {
        await using var gateway = await StartAsync("{ path: /health, interval: 100ms }");
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway));
        (_works, _isHealthy) = (false, false);
        while (!IsOpen(gateway)) await ChatAsync(gateway);

        var calls = CallsOf("/v1/chat/completions");
        var (probes, since) = (CallsOf("/health"), TimeProvider.System.GetTimestamp());
        // More than the breaker's own interval: a call would test it now.
        while (CallsOf("/health") < probes + 4)
        {
            using var refused = await PostAsync(gateway);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error");
            Assert.Equal("provider_unavailable", error.GetProperty("code").GetString());
            Assert.InRange(error.GetProperty("retry_after_ms").GetInt64(), 1, 1000);
        }
        Assert.Equal(calls, CallsOf("/v1/chat/completions"));
        var intervals = TimeProvider.System.GetElapsedTime(since) / TimeSpan.FromMilliseconds(100);
        Assert.InRange(CallsOf("/health") - probes, 4, intervals + 1);
        Assert.All(_upstream.Requests.Where(request => request.Path == "/health"), request =>
            Assert.Equal("Bearer k", request.Headers["Authorization"]));

        (_works, _isHealthy) = (true, true);
        while (IsOpen(gateway)) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        Assert.Equal(calls, CallsOf("/v1/chat/completions"));
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(gateway));
    }

    /// <summary>No client has noticed yet.</summary>
    [Fact]
    public async Task Path_FailsRepeatedly_OpensTheDeployment()
    {
        _isHealthy = false;
        await using var gateway = await StartAsync("{ path: /health, interval: 100ms }");
        while (!IsOpen(gateway)) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await ChatAsync(gateway));
        Assert.Equal(0, CallsOf("/v1/chat/completions"));
    }

    /// <summary>A server that hangs fails its probe after the probe's own timeout.</summary>
    [Theory]
    [InlineData("{ path: /hang, interval: 100ms, timeout: 50ms }")]
    [InlineData("{ interval: 100ms, timeout: 50ms }")]
    public async Task Probe_NoResponse_FailsAfterItsTimeout(string probe)
    {
        _upstream.Answer = context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        await using var gateway = await StartAsync(probe);
        while (!IsOpen(gateway)) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
    }

    /// <summary>Probes that succeed do not count: the path may work while calls fail.</summary>
    [Fact]
    public async Task Path_WorksWhileCallsFail_BreakerOpens()
    {
        await using var gateway = await StartAsync("{ path: /health, interval: 100ms }", "failures: 3, errorRate: 1, minimumAttempts: 1000");
        _works = false;
        for (var i = 0; i < 3; i++)
        {
            var probes = CallsOf("/health");
            while (CallsOf("/health") < probes + 2) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
            Assert.Equal(HttpStatusCode.BadGateway, await ChatAsync(gateway));
        }
        _isHealthy = false;
        // It opened at the third failure, or the next probe has closed it since.
        var opened = IsOpen(gateway);
        for (var i = 0; i < 3 && !opened; i++)
        {
            await ChatAsync(gateway);
            opened = IsOpen(gateway);
        }
        Assert.True(opened);
    }

    /// <summary>The operator pays: no limit and no organization of a client knows the call.</summary>
    [Theory]
    [InlineData("up", "/v1/chat/completions", 3)]
    [InlineData("embeddings", "/v1/embeddings", 0)]
    public async Task TinyCall_Charges_TheOperator(string model, string path, int output)
    {
        await using var gateway = await StartAsync("{ interval: 1h }", model: model);
        JsonElement[] records;
        do
        {
            var page = await gateway.Admin.GetJsonAsync("/admin/v1/audit?limit=100&key_id=key_probe");
            records = [.. page.GetProperty("data").EnumerateArray()];
        }
        while (records.Length == 0);
        var record = Assert.Single(records);
        Assert.Equal("org_operator", record.GetProperty("organization_id").GetString());
        Assert.Equal("complete", record.GetProperty("outcome").GetString());
        Assert.True(record.GetProperty("cost_usd").GetDecimal() > 0, record.GetRawText());
        var attempt = Assert.Single(record.GetProperty("attempts").EnumerateArray());
        Assert.Equal(output, attempt.GetProperty("usage").GetProperty("output_tokens").GetInt32());
        Assert.Equal(1, CallsOf(path));

        var usage = await gateway.Admin.GetJsonAsync("/admin/v1/usage?group_by=organization");
        Assert.Contains("org_operator", usage.GetRawText(), StringComparison.Ordinal);
    }

    /// <summary>Neither counted against <c>maxConcurrency</c> nor made while drained.</summary>
    [Fact]
    public async Task Probe_FullOrDrained_DoesNotWaitAndStopsWhileDrained()
    {
        var (arrived, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        _upstream.Answer = async context =>
        {
            if (context.Request.Path == "/health")
            {
                await AnswerAsync(context);
                return;
            }
            arrived.TrySetResult();
            await release.Task.WaitAsync(context.RequestAborted);
            await AnswerAsync(context);
        };
        await using var gateway = await StartAsync("{ path: /health, interval: 100ms }");
        var running = ChatAsync(gateway);
        await arrived.Task.WaitAsync(Token);
        var before = CallsOf("/health");
        while (CallsOf("/health") < before + 2) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/deployments/up%2Fm", """{"state":"drained"}""");
        release.SetResult();
        Assert.Equal(HttpStatusCode.OK, await running);
        // One that started before the change may still arrive.
        await Task.Delay(TimeSpan.FromMilliseconds(300), TimeProvider.System, Token);
        var drained = CallsOf("/health");
        await Task.Delay(TimeSpan.FromMilliseconds(300), TimeProvider.System, Token);
        Assert.Equal(drained, CallsOf("/health"));
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/deployments/up%2Fm", """{"state":"active"}""");
        while (CallsOf("/health") == drained) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
    }

    private Task AnswerAsync(HttpContext context) => context.Request.Path.Value switch
    {
        "/health" => FakeUpstream.Json(context, "{}", _isHealthy && context.Request.Method == "GET" ? 200 : 503),
        "/v1/embeddings" => FakeUpstream.Json(context,
            """{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,0.5]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"""),
        _ => FakeUpstream.Json(context, _works ? FakeUpstream.Completion("hello") : "{}", _works ? 200 : 500),
    };

    private int CallsOf(string path) => _upstream.Paths.Count(seen => seen == path);

    private static bool IsOpen(TestGateway gateway) => gateway.Services.GetRequiredService<IBreakerStates>().Find("up/m").IsOpen;

    private static async Task<HttpStatusCode> ChatAsync(TestGateway gateway)
    {
        using var response = await PostAsync(gateway);
        return response.StatusCode;
    }

    private static Task<HttpResponseMessage> PostAsync(TestGateway gateway) =>
        gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"up","messages":[{"role":"user","content":"Hi"}]}""");

    private Task<TestGateway> StartAsync(string probe, string breaker = "failures: 2", string model = "up") => TestGateway.StartAsync($$"""
        fairlead:
          providers:
            up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
          breaker: { {{breaker}}, interval: 100ms }
          retry: { maxRetries: 0 }
          models:
            {{model}}:
              { {{Facts}}, {{(model == "up" ? "capabilities: { tools: false }" : "kind: embedding")}},
                deployments: [{ provider: up, model: m, maxConcurrency: 1, probe: {{probe}} }] }
        """);
}

using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>Which deployment serves a call, why, and which model its response names.</summary>
public sealed class SelectionTests : IAsyncLifetime
{
    private const string Facts =
        "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, capabilities: { tools: false }, prices: { input: 1, output: 10 }";

    private FakeUpstream _first = null!;
    private FakeUpstream _second = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _first = await FakeUpstream.StartAsync(Works);
        _second = await FakeUpstream.StartAsync(Works);
        _gateway = await TestGateway.StartAsync($$"""
            fairlead:
              providers:
                first: { kind: openai, baseUrl: {{_first.Url}}/v1, apiKey: k }
                second: { kind: openai, baseUrl: {{_second.Url}}/v1, apiKey: k }
              retry: { maxRetries: 0 }
              models:
                group: { {{Facts}}, deployments: [{ provider: first, model: model-a, priority: 1 }, { provider: second, model: model-b, priority: 2 }] }
                hidden:
                  { {{Facts}}, reportModel: requested, deployments: [{ provider: first, model: model-a, priority: 1 }, { provider: second, model: model-b, priority: 2 }] }
                same: { {{Facts}}, deployments: [{ provider: first, model: model-a, priority: 1 }, { provider: second, model: model-a, priority: 2 }] }
                sessions: { {{Facts}}, strategy: session, deployments: [{ provider: first, model: m }, { provider: second, model: m }] }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _first.DisposeAsync();
        await _second.DisposeAsync();
    }

    [Theory]
    [InlineData("\"order\":[\"second\"]", "second/model-b", "order")]
    [InlineData("\"only\":[\"second/model-b\"]", "second/model-b", "only")]
    [InlineData("\"exclude\":[\"first\"]", "second/model-b", "only")]
    [InlineData("\"max_price\":{\"input\":1,\"output\":10},\"prefer\":\"cost\"", "first/model-a", "priority")]
    [InlineData("", "first/model-a", "priority")]
    public async Task Route_Hints_ChooseTheDeployment(string hints, string deployment, string reason)
    {
        foreach (var (path, body) in new[]
        {
            ("/v1/chat/completions", Chat("group", false, $"\"fairlead\":{{\"route\":{{{hints}}}}}")),
            ("/v2/generations", "{\"model\":\"group\",\"input\":\"Hi\",\"delivery\":{\"mode\":\"sync\"},\"route\":{" + hints + "}}"),
        })
        {
            var response = await _gateway.Client.PostForJsonAsync(path, body);
            var attempts = response.GetProperty(path[2] == '1' ? "fairlead" : "attempts");
            var attempt = (path[2] == '1' ? attempts.GetProperty("attempts") : attempts).EnumerateArray().Single();
            Assert.Equal(deployment, attempt.GetProperty("deployment").GetString());
            Assert.Equal(reason, attempt.GetProperty("reason").GetString());
        }
    }

    [Theory]
    [InlineData("\"only\":[\"nobody\"]", "fairlead.route")]
    [InlineData("\"max_price\":{\"output\":1}", "fairlead.route")]
    [InlineData("\"exclude\":[\"first\",\"second\"]", "fairlead.route")]
    [InlineData("\"prefer\":\"beauty\"", "fairlead.route.prefer")]
    [InlineData("\"order\":[7]", "fairlead.route.order[0]")]
    [InlineData("\"order\":\"first\"", "fairlead.route.order")]
    [InlineData("\"max_price\":{\"total\":1}", "fairlead.route.max_price.total")]
    [InlineData("\"max_price\":{\"input\":-1}", "fairlead.route.max_price.input")]
    [InlineData("\"nonsense\":1", "fairlead.route.nonsense")]
    public async Task Route_CannotBeSatisfied_IsRefusedWithTheField(string hints, string field)
    {
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Chat("group", false, $"\"fairlead\":{{\"route\":{{{hints}}}}}"));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error");
        Assert.Equal(field, error.GetProperty("param").GetString());
        Assert.Empty(_first.Requests);
        Assert.Empty(_second.Requests);
    }

    /// <summary>The hints are the gateway's own; a provider never sees them.</summary>
    [Fact]
    public async Task Route_Hints_AreNotForwarded()
    {
        await _gateway.Client.PostForJsonAsync("/v1/chat/completions", Chat("group", false, "\"fairlead\":{\"route\":{\"only\":[\"first\"]}}"));
        Assert.DoesNotContain("route", _first.Requests.Single().Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Attempts_AfterFailures_TellTheirReasons()
    {
        _first.Answer = context => FakeUpstream.Json(context, "{}", 500);
        for (var i = 0; i < 6; i++)
        {
            var response = await _gateway.Client.PostForJsonAsync("/v1/chat/completions", Chat("same", false));
            var reasons = response.GetProperty("fairlead").GetProperty("attempts").EnumerateArray().Select(a => a.GetProperty("reason").GetString());
            // After five failures, the first one is open.
            Assert.Equal(i < 5 ? ["priority", "failover"] : ["breaker_open"], reasons);
        }
    }

    [Fact]
    public async Task Session_CallsOfOneUser_StayAtOneDeployment()
    {
        for (var user = 0; user < 12; user++)
        {
            var deployments = new HashSet<string?>();
            for (var turn = 0; turn < 4; turn++)
            {
                var response = await _gateway.Client.PostForJsonAsync("/v1/chat/completions", Chat("sessions", false, $"\"user\":\"u{user}\""));
                deployments.Add(response.GetProperty("fairlead").GetProperty("deployment").GetString());
            }
            Assert.Single(deployments);
        }
        Assert.NotEmpty(_first.Requests);
        Assert.NotEmpty(_second.Requests);
    }

    [Theory]
    [InlineData("group", "model-b")]
    [InlineData("hidden", "hidden")]
    [InlineData("same", "same")]
    public async Task ReportedModel_AfterFailover_NamesTheAnsweringModel(string name, string reported)
    {
        _first.Answer = context => FakeUpstream.Json(context, "{}", 503);
        foreach (var (path, body) in new[]
        {
            ("/v1/chat/completions", Chat(name, false)),
            ("/v1/messages", $$"""{"model":"{{name}}","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"""),
            ("/v1/responses", $$"""{"model":"{{name}}","input":"Hi"}"""),
            ("/v2/generations", $$$"""{"model":"{{{name}}}","input":"Hi","delivery":{"mode":"sync"}}"""),
        })
        {
            using var response = await _gateway.Client.PostJsonAsync(path, body);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal(reported, response.Headers.GetValues("Fairlead-Model").Single());
            var root = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token)).RootElement;
            Assert.Equal(reported, root.GetProperty("model").GetString());
            if (root.TryGetProperty("fairlead", out var fairlead))
            {
                Assert.Equal(reported, fairlead.GetProperty("model").GetString());
                Assert.Equal(name, fairlead.GetProperty("model_requested").GetString());
            }
        }

        var stream = await _gateway.Client.PostForStreamAsync("/v1/chat/completions", Chat(name, true));
        Assert.All(stream.Events.Where(e => e.Data != "[DONE]"), e => Assert.Equal(reported, e.Json.GetProperty("model").GetString()));
        var messages = await _gateway.Client.PostForStreamAsync("/v1/messages",
            $$"""{"model":"{{name}}","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}""");
        Assert.Equal(reported, messages.Events[0].Json.GetProperty("message").GetProperty("model").GetString());
        var responses = await _gateway.Client.PostForStreamAsync("/v1/responses", $$"""{"model":"{{name}}","stream":true,"input":"Hi"}""");
        Assert.Equal(reported, responses.Events.Last(e => e.Data != "[DONE]").Json.GetProperty("response").GetProperty("model").GetString());
    }

    private static async Task Works(HttpContext context)
    {
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        if (context.Request.Path.Value!.EndsWith("/responses", StringComparison.Ordinal))
        {
            // The server does not have this API, so the request is translated.
            await FakeUpstream.Json(context, "{}", 404);
            return;
        }
        if (!request.TryGetProperty("stream", out var asked) || !asked.GetBoolean())
        {
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
            return;
        }
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"hello"}"""), FakeUpstream.Chunk("{}", "stop"),
            FakeUpstream.UsageChunk(), "[DONE]");
    }

    private static string Chat(string model, bool stream, string more = "\"n\":1") =>
        $$"""{"model":"{{model}}","stream":{{(stream ? "true" : "false")}},{{more}},"messages":[{"role":"user","content":"Hi"}]}""";
}

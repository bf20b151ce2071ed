using System.Net;
using System.Text.Json;
using Fairlead.Catalogue.States;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>An operator drains a deployment: no new work goes there, on any node, until it is active again.</summary>
public sealed class DrainedDeploymentTests : IAsyncLifetime
{
    private const string Facts =
        "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";

    private FakeUpstream _first = null!;
    private FakeUpstream _second = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _first = await FakeUpstream.StartAsync();
        _second = await FakeUpstream.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _first.DisposeAsync();
        await _second.DisposeAsync();
    }

    [Fact]
    public async Task Drained_OneOfTwo_CallsGoToTheOther()
    {
        await using var gateway = await TestGateway.StartAsync(Yaml());
        Assert.Equal("first/org/m", AttemptOf(await ChatAsync(gateway)).Deployment);
        var shown = await SetAsync(gateway, "first%2Forg%2Fm", "drained");
        Assert.Equal(("first/org/m", "drained"), (shown.GetProperty("id").GetString(), shown.GetProperty("state").GetString()));
        for (var i = 0; i < 3; i++) Assert.Equal(("second/m", "drained"), AttemptOf(await ChatAsync(gateway)));
        Assert.Equal("drained", await StateAsync(gateway, "first/org/m"));
        Assert.Equal("active", await StateAsync(gateway, "second/m"));

        await SetAsync(gateway, "first%2Forg%2Fm", "active");
        Assert.Equal(("first/org/m", "priority"), AttemptOf(await ChatAsync(gateway)));
        Assert.Equal((2, 3), (_first.Requests.Count, _second.Requests.Count));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Drained_All_RefusesWithoutAnAttempt(bool stream)
    {
        await using var gateway = await TestGateway.StartAsync(Yaml());
        await SetAsync(gateway, "first/org%2fm".Replace("/", "%2F", StringComparison.Ordinal), "drained");
        await SetAsync(gateway, "second%2Fm", "drained");
        using var refused = await gateway.Client.PostJsonAsync("/v1/chat/completions", Body("both", stream));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal("30", refused.Headers.GetValues("Retry-After").Single());
        var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("error");
        Assert.Equal("provider_unavailable", error.GetProperty("code").GetString());
        Assert.Equal("drained", error.GetProperty("details").GetProperty("reason").GetString());
        Assert.Contains("out of service", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Empty(_first.Requests);
        Assert.Empty(_second.Requests);
    }

    /// <summary>What runs there ends; a call that waits for it does not wait any longer.</summary>
    [Fact]
    public async Task Drained_WhileACallRunsAndOneWaits_TheFirstEndsAndTheOtherIsRefused()
    {
        var (arrived, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        _first.Answer = async context =>
        {
            arrived.TrySetResult();
            await release.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        };
        await using var gateway = await TestGateway.StartAsync(Yaml());
        var running = ChatAsync(gateway, "one");
        await arrived.Task.WaitAsync(Token);
        var waiting = gateway.Client.PostForJsonAsync("/v1/chat/completions", Body("one"), HttpStatusCode.ServiceUnavailable);
        var slots = gateway.Services.GetRequiredService<Fairlead.Scheduling.DeploymentSlots>();
        while (slots.WaitingFor("first/org/m") == 0) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
        await SetAsync(gateway, "first%2Forg%2Fm", "drained");
        // Before the slot is free.
        Assert.Equal("drained", (await waiting).GetProperty("error").GetProperty("details").GetProperty("reason").GetString());
        release.SetResult();
        Assert.Equal("first/org/m", AttemptOf(await running).Deployment);
    }

    /// <summary>The job waits in the queue, and runs when the deployment is active again.</summary>
    [Fact]
    public async Task Drained_Job_WaitsUntilItIsActive()
    {
        await using var gateway = await TestGateway.StartAsync(Yaml());
        await SetAsync(gateway, "first%2Forg%2Fm", "drained");
        var accepted = await gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"one","input":"x","delivery":{"mode":"job"}}""");
        var id = accepted.GetProperty("id").GetString()!;
        var waiting = await gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=2");
        Assert.Equal("queued", waiting.GetProperty("status").GetString());
        Assert.Empty(_first.Requests);
        await SetAsync(gateway, "first%2Forg%2Fm", "active");
        JsonElement state;
        do state = await gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=30");
        while (state.GetProperty("status").GetString() is "queued" or "in_progress");
        Assert.Equal("completed", state.GetProperty("status").GetString());
        Assert.Single(_first.Requests);
    }

    [Fact]
    public async Task Change_WrongKeyIdOrBody_IsRefused()
    {
        await using var gateway = await TestGateway.StartAsync(Yaml());
        const string path = "/admin/v1/deployments/first%2Forg%2Fm";
        Assert.Equal("insufficient_scope", await RefusedAsync(gateway.Client, path, """{"state":"drained"}""", HttpStatusCode.Forbidden));
        var project = gateway.ProjectId;
        var reader = await gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"reader","project_id":"{{project}}","scopes":["admin:read"]}""");
        using var client = gateway.MakeClient(reader.GetProperty("secret").GetString());
        Assert.Equal("active", (await client.GetJsonAsync(path)).GetProperty("state").GetString());
        Assert.Equal("insufficient_scope", await RefusedAsync(client, path, """{"state":"drained"}""", HttpStatusCode.Forbidden));

        Assert.Equal("not_found", await RefusedAsync(gateway.Admin, "/admin/v1/deployments/first%2Fno", """{"state":"drained"}""", HttpStatusCode.NotFound));
        Assert.Equal("not_found", (await gateway.Admin.GetJsonAsync("/admin/v1/deployments/first", HttpStatusCode.NotFound)).GetProperty("code").GetString());
        Assert.Equal("missing_parameter", await RefusedAsync(gateway.Admin, path, "{}", HttpStatusCode.BadRequest));
        Assert.Equal("missing_parameter", await RefusedAsync(gateway.Admin, path, """{"state":null}""", HttpStatusCode.BadRequest));
        Assert.Equal("invalid_parameter", await RefusedAsync(gateway.Admin, path, """{"state":"paused"}""", HttpStatusCode.BadRequest));
        Assert.Equal("invalid_parameter", await RefusedAsync(gateway.Admin, path, """{"state":1}""", HttpStatusCode.BadRequest));
        Assert.Equal("unsupported_parameter", await RefusedAsync(gateway.Admin, path, """{"state":"drained","weight":2}""", HttpStatusCode.BadRequest));
        Assert.Equal("active", await StateAsync(gateway, "first/org/m"));
    }

    /// <summary>Nodes that share a database: a change on one is in force on the others within two seconds, and after a restart.</summary>
    [Fact]
    public async Task Drained_SeveralNodes_IsSharedAndKept()
    {
        var database = TestPostgres.CreateDatabase();
        await using (var one = await TestGateway.StartOnAsync(database, Yaml()))
        await using (var other = await TestGateway.StartOnAsync(database, Yaml()))
        await using (var third = await TestGateway.StartOnAsync(database, Yaml()))
        {
            // A deployment that no configuration has does no harm.
            await one.Services.GetRequiredService<IStorage>().ExecuteAsync(
                "INSERT INTO deployment_states (deployment, state, changed_at, changed_by) VALUES ('gone/m', 'drained', 0, 'key_x')", [], Token);
            var changes = new[] { other, third }.Select(node =>
            {
                var changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                node.Services.GetRequiredService<DeploymentStates>().Changed += name =>
                {
                    if (name == "first/org/m") changed.TrySetResult();
                };
                return changed.Task;
            }).ToArray();
            var since = TimeProvider.System.GetTimestamp();
            await SetAsync(one, "first%2Forg%2Fm", "drained");
            Assert.Equal("second/m", AttemptOf(await ChatAsync(one)).Deployment);
            await Task.WhenAll(changes).WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Token);
            Assert.InRange(TimeProvider.System.GetElapsedTime(since).TotalSeconds, 0, 2);
            Assert.Equal(("second/m", "drained"), AttemptOf(await ChatAsync(other)));
            Assert.Equal(("second/m", "drained"), AttemptOf(await ChatAsync(third)));
            Assert.Equal("drained", await StateAsync(other, "first/org/m"));
        }
        await using var restarted = await TestGateway.StartOnAsync(database, Yaml());
        Assert.Equal(("second/m", "drained"), AttemptOf(await ChatAsync(restarted)));
        // One that is in no configuration is shown, so that it does not come back drained some day.
        Assert.Equal("drained", await StateAsync(restarted, "gone/m"));
        Assert.Equal("active", (await SetAsync(restarted, "gone%2Fm", "active")).GetProperty("state").GetString());
        Assert.DoesNotContain("gone/m", (await restarted.Admin.GetJsonAsync("/admin/v1/deployments?limit=100")).GetRawText(), StringComparison.Ordinal);
        Assert.Empty(_first.Requests);
    }

    private static async Task<string?> RefusedAsync(HttpClient client, string path, string body, HttpStatusCode status) =>
        (await client.SendForJsonAsync(HttpMethod.Patch, path, body, status)).GetProperty("code").GetString();

    private static Task<JsonElement> SetAsync(TestGateway gateway, string id, string state) =>
        gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/deployments/{id}", $$"""{"state":"{{state}}"}""");

    private static async Task<string?> StateAsync(TestGateway gateway, string id) =>
        (await gateway.Admin.GetJsonAsync("/admin/v1/deployments?limit=100")).GetProperty("data").EnumerateArray()
            .Single(row => row.GetProperty("id").GetString() == id).GetProperty("state").GetString();

    private static Task<JsonElement> ChatAsync(TestGateway gateway, string model = "both") =>
        gateway.Client.PostForJsonAsync("/v1/chat/completions", Body(model));

    private static (string? Deployment, string? Reason) AttemptOf(JsonElement response)
    {
        var attempt = Assert.Single(response.GetProperty("fairlead").GetProperty("attempts").EnumerateArray());
        return (attempt.GetProperty("deployment").GetString(), attempt.GetProperty("reason").GetString());
    }

    private static string Body(string model, bool stream = false) =>
        $$"""{"model":"{{model}}","stream":{{(stream ? "true" : "false")}},"messages":[{"role":"user","content":"Hi"}]}""";

    private string Yaml() => $$"""
        fairlead:
          providers:
            first: { kind: openai, baseUrl: {{_first.Url}}/v1, apiKey: k }
            second: { kind: openai, baseUrl: {{_second.Url}}/v1, apiKey: k }
          models:
            one: { {{Facts}}, deployments: [{ provider: first, model: org/m, maxConcurrency: 1 }] }
            both:
              { {{Facts}}, deployments: [{ provider: first, model: org/m, priority: 1 }, { provider: second, model: m, priority: 2 }] }
        """;
}

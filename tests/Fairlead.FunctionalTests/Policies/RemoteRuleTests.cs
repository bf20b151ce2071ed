using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Policies;

/// <summary>Rules that ask a moderation endpoint or a model.</summary>
public sealed class RemoteRuleTests : IAsyncLifetime
{
    private FakeUpstream _judge = null!;
    private PolicyWorld _world = null!;

    public async ValueTask InitializeAsync()
    {
        _judge = await FakeUpstream.StartAsync(context =>
        {
            var text = ((JsonElement)context.Items[FakeUpstream.RequestItem]!).GetProperty("input").GetString()!;
            var flagged = text.Contains("evil", StringComparison.Ordinal) ? "true" : "false";
            return text.Contains("broken", StringComparison.Ordinal)
                ? FakeUpstream.Json(context, "{}", 500)
                : FakeUpstream.Json(context, """{"id":"modr-1","model":"m","results":[{"flagged":IT,"categories":{},"category_scores":{}}]}""".Replace("IT", flagged, StringComparison.Ordinal));
        });
        _world = await PolicyWorld.StartAsync("  contentPolicy: { allowedNetworks: [127.0.0.0/8], allowHttp: true }");
    }

    public async ValueTask DisposeAsync()
    {
        await _world.DisposeAsync();
        await _judge.DisposeAsync();
    }

    [Fact]
    public async Task Endpoint_Flags_BlocksInputAndAsksOnce()
    {
        await _world.AddPolicyAsync(RuleOf("open"));
        Assert.Equal(400, (await SendAsync("an evil text")).Status);
        Assert.Equal(400, (await SendAsync("an evil text")).Status);
        Assert.Equal(200, (await SendAsync("a good text")).Status);
        // By the hash of the text, so the second one is not asked.
        Assert.Equal(2, _judge.Requests.Count(request => !request.Body.Contains("Hello", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("open", 200)]
    [InlineData("closed", 400)]
    public async Task Endpoint_Fails_RuleDecides(string onFailure, int status)
    {
        await _world.AddPolicyAsync(RuleOf(onFailure));
        var reply = await SendAsync("a broken text");
        Assert.Equal(status, reply.Status);
        if (status == 400) Assert.Equal("unavailable", reply.Find("details").First().GetProperty("reason").GetString());
    }

    [Fact]
    public async Task Endpoint_OnOutput_JudgesWindow()
    {
        _world.Pieces = ["Something ", "evil", " comes."];
        await _world.AddPolicyAsync(RuleOf("open"));
        var reply = await _world.SendAsync("chat", PolicyWorld.Body("chat", "x", stream: true));
        Assert.Equal("", reply.Text);
        Assert.Equal("content_filter", reply.Finish);
        Assert.Equal(["far:block:output:1"], reply.Verdicts);
    }

    [Fact]
    public async Task Model_Judges_IsChargedToOperator()
    {
        await _world.AddPolicyAsync("""{"id":"far","type":"remote","model":"sim-echo","action":"block","direction":"input"}""");
        Assert.Equal(400, (await SendAsync("unsafe as it is")).Status);
        Assert.Equal(200, (await SendAsync("safe as it is")).Status);
        while (true)
        {
            var records = (await _world.Gateway.Admin.GetJsonAsync("/admin/v1/audit")).GetProperty("data").EnumerateArray().ToList();
            if (records.Count(one => one.GetProperty("key_id").GetString() == "key_policy") == 2) break;
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Url_Private_IsRefused()
    {
        var problem = await _world.Gateway.Admin.PostForJsonAsync(
            "/admin/v1/policies",
            $$"""{"name":"x","project_id":"{{_world.Gateway.ProjectId}}","rules":[{"id":"r","type":"remote","url":"http://10.0.0.1/m","action":"block"}]}""",
            HttpStatusCode.BadRequest);
        Assert.Contains("contentPolicy.allowedNetworks", problem.GetRawText(), StringComparison.Ordinal);
    }

    private string RuleOf(string onFailure) =>
        $$"""{"id":"far","type":"remote","url":"{{_judge.Url}}/v1/moderations","action":"block","on_failure":"{{onFailure}}"}""";

    private Task<PolicyReply> SendAsync(string text) => _world.SendAsync("chat", PolicyWorld.Body("chat", text));
}

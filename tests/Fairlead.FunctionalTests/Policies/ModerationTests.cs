using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Policies;

/// <summary><c>POST /v1/moderations</c>.</summary>
public sealed class ModerationTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync(context => FakeUpstream.Json(
            context, """{"id":"modr-up","model":"omni-2024","results":[{"flagged":true,"categories":{"hate":true},"category_scores":{"hate":0.9}}]}"""));
        _gateway = await TestGateway.StartAsync($$"""
            fairlead:
              providers:
                up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: sk-upstream-secret }
                simulated: { kind: simulated }
              retry: { maxRetries: 0 }
              models:
                omni-moderation-latest:
                  contextWindow: 8000
                  prices: { input: 2, output: 0 }
                  capabilities: { tools: false }
                  deployments: [{ provider: up, model: omni-up }]
                sim-fast:
                  deployments: [{ provider: simulated }]
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task ByRules_ArrayOfTexts_OneResultEach()
    {
        await AddPolicyAsync();
        var reply = await PostAsync("""{"input":["a forbidden thing","nothing","mail a@example.org"]}""");
        Assert.StartsWith("modr-", reply.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal("content-policy", reply.GetProperty("model").GetString());
        var results = reply.GetProperty("results").EnumerateArray().ToList();
        Assert.Equal([true, false, true], results.Select(one => one.GetProperty("flagged").GetBoolean()));
        Assert.True(results[0].GetProperty("categories").GetProperty("words").GetBoolean());
        Assert.False(results[0].GetProperty("categories").GetProperty("violence").GetBoolean());
        Assert.Equal(1, results[2].GetProperty("category_scores").GetProperty("personal_data").GetDouble());
        Assert.Equal("w", results[0].GetProperty("policy")[0].GetProperty("rule").GetString());
        Assert.DoesNotContain("forbidden", reply.GetRawText(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"a forbidden thing\"", true)]
    [InlineData("""[{"type":"text","text":"fine"},{"type":"text","text":"a forbidden thing"}]""", true)]
    [InlineData("""[{"type":"text","text":"fine"}]""", false)]
    public async Task ByRules_OtherForms_OneResult(string input, bool flagged)
    {
        await AddPolicyAsync();
        var reply = await PostAsync($$"""{"input":{{input}}}""");
        Assert.Equal(flagged, Assert.Single(reply.GetProperty("results").EnumerateArray()).GetProperty("flagged").GetBoolean());
    }

    [Fact]
    public async Task ByDeployment_OpenAi_IsForwarded()
    {
        var reply = await PostAsync("""{"model":"omni-moderation-latest","input":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}""");
        Assert.Equal("omni-moderation-latest", reply.GetProperty("model").GetString());
        Assert.True(reply.GetProperty("results")[0].GetProperty("categories").GetProperty("hate").GetBoolean());
        var sent = Assert.Single(_upstream.Requests);
        Assert.Equal("/v1/moderations", sent.Path);
        Assert.Equal("Bearer sk-upstream-secret", sent.Headers["Authorization"]);
        Assert.Equal("omni-up", Assert.Single(_upstream.Received).GetProperty("model").GetString());
    }

    [Fact]
    public async Task ByDeployment_PolicyOfCaller_AppliesToInput()
    {
        await AddPolicyAsync();
        var error = await PostAsync("""{"model":"omni-moderation-latest","input":["a forbidden thing"]}""", HttpStatusCode.BadRequest);
        Assert.Equal("content_blocked", error.GetProperty("error").GetProperty("code").GetString());
        Assert.Empty(_upstream.Requests);
        await PostAsync("""{"model":"omni-moderation-latest","input":["mail a@example.org"]}""");
        Assert.Equal("mail [EMAIL_1]", Assert.Single(_upstream.Received).GetProperty("input")[0].GetString());
    }

    [Fact]
    public async Task ByDeployment_Simulated_IsDeterministic()
    {
        var reply = await PostAsync("""{"model":"sim-fast","input":["some violence here","peace"]}""");
        Assert.Equal([true, false], reply.GetProperty("results").EnumerateArray().Select(one => one.GetProperty("flagged").GetBoolean()));
    }

    [Theory]
    [InlineData("{}", 400)]
    [InlineData("""{"input":7}""", 400)]
    [InlineData("""{"input":[]}""", 400)]
    [InlineData("""{"input":[7]}""", 400)]
    [InlineData("""{"input":[{"type":"audio"}]}""", 400)]
    [InlineData("""{"input":"a","model":7}""", 400)]
    [InlineData("""{"input":"a","colour":7}""", 400)]
    [InlineData("""{"input":"a","model":"unknown-model"}""", 404)]
    [InlineData("""{"input":"a"}""", 404)]
    public async Task Request_Invalid_IsRefused(string body, int status) => await PostAsync(body, (HttpStatusCode)status);

    [Theory]
    [InlineData("""{"input":"nothing"}""", "content-policy", null)]
    [InlineData("""{"model":"omni-moderation-latest","input":["one two three four","five"]}""", "omni-moderation-latest", "up")]
    public async Task Request_Answered_LeavesAuditRecordAndUsage(string body, string model, string? provider)
    {
        await AddPolicyAsync();
        using var response = await _gateway.Client.PostJsonAsync("/v1/moderations", body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var id = response.Headers.GetValues("Fairlead-Generation").Single();
        var record = Assert.Single((await _gateway.Admin.GetJsonAsync("/admin/v1/audit?generation_id=" + id)).GetProperty("data").EnumerateArray());
        Assert.Equal(("openai.moderations", "/v1/moderations", "complete", model, provider), (Text(record, "dialect"), Text(record, "endpoint"), Text(record, "outcome"), Text(record, "model"), Text(record, "provider")));
        Assert.DoesNotContain("nothing", record.GetRawText(), StringComparison.Ordinal);
        var cost = record.GetProperty("cost_usd").GetDecimal();
        Assert.Equal(provider is not null, cost > 0);
        Assert.Equal(provider is not null, record.GetProperty("usage").GetProperty("input_tokens").GetInt64() > 0);
        var usage = (await _gateway.Admin.GetJsonAsync("/admin/v1/usage?group_by=model")).GetProperty("data").EnumerateArray().Single(row => Text(row.GetProperty("group"), "model") == model);
        Assert.Equal((1, cost), (usage.GetProperty("requests").GetInt32(), usage.GetProperty("cost_usd").GetDecimal()));
        Assert.Equal(id, Text(Assert.Single((await _gateway.Client.GetJsonAsync("/v2/generations?dialect=openai.moderations")).GetProperty("data").EnumerateArray()), "id"));
    }

    [Fact]
    public async Task Request_Blocked_LeavesAuditRecordWithItsVerdict()
    {
        await AddPolicyAsync();
        using var response = await _gateway.Client.PostJsonAsync("/v1/moderations", """{"model":"omni-moderation-latest","input":"a forbidden thing"}""");
        var id = response.Headers.GetValues("Fairlead-Generation").Single();
        var record = Assert.Single((await _gateway.Admin.GetJsonAsync("/admin/v1/audit?generation_id=" + id)).GetProperty("data").EnumerateArray());
        Assert.Equal(("failed", "content_blocked", "w"), (Text(record, "outcome"), Text(record, "error_code"), Text(record.GetProperty("policy")[0], "rule")));
    }

    [Theory]
    [InlineData("requests_per_minute", 2, """{"input":"nothing"}""")]
    [InlineData("requests_per_minute", 2, """{"model":"omni-moderation-latest","input":"nothing"}""")]
    [InlineData("requests_per_minute", 2, """{"model":"sim-fast","input":"nothing"}""")]
    [InlineData("input_tokens_per_minute", 300, """{"model":"sim-fast","input":"aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb"}""")]
    public async Task Request_OverLimitOfKey_Returns429(string limit, int value, string body)
    {
        await AddPolicyAsync();
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$$"""{"name":"k","project_id":"{{{_gateway.ProjectId}}}","limits":{"{{{limit}}}":{{{value}}} }}""");
        using var client = _gateway.MakeClient(Text(key, "secret"));
        var statuses = new List<int>();
        for (var i = 0; i < 4; i++)
        {
            using var response = await client.PostJsonAsync("/v1/moderations", body);
            statuses.Add((int)response.StatusCode);
            Assert.True(response.Headers.Contains("RateLimit"));
            if (response.StatusCode != HttpStatusCode.TooManyRequests) continue;
            Assert.True(response.Headers.Contains("Retry-After"));
            Assert.Contains("rate_limit_exceeded", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }
        Assert.Equal(200, statuses[0]);
        Assert.Equal(429, statuses[^1]);
        // The same limit as for other calls.
        using var chat = await client.PostJsonAsync("/v1/chat/completions", """{"model":"sim-fast","messages":[{"role":"user","content":"hi"}]}""");
        if (limit == "requests_per_minute") Assert.Equal(HttpStatusCode.TooManyRequests, chat.StatusCode);
    }

    [Fact]
    public async Task ByDeployment_ProviderFails_IsRecordedAndNotCharged()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"a secret thing"}}""", 500);
        using var response = await _gateway.Client.PostJsonAsync("/v1/moderations", """{"model":"omni-moderation-latest","input":"a"}""");
        Assert.True((int)response.StatusCode >= 500);
        Assert.DoesNotContain("secret", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        var record = Assert.Single((await _gateway.Admin.GetJsonAsync("/admin/v1/audit?generation_id=" + response.Headers.GetValues("Fairlead-Generation").Single())).GetProperty("data").EnumerateArray());
        Assert.Equal(("failed", 0m), (Text(record, "outcome"), record.GetProperty("cost_usd").GetDecimal()));
        Assert.Equal(500, Assert.Single(record.GetProperty("attempts").EnumerateArray()).GetProperty("upstream_status").GetInt32());
    }

    [Theory]
    [InlineData(500)]
    [InlineData(404)]
    [InlineData(401)]
    public async Task ByDeployment_FailsOften_OtherCallsStillGoThere(int status)
    {
        _upstream.Answer = context => FakeUpstream.Json(context, "{}", status);
        for (var i = 0; i < 30; i++)
        {
            using var failed = await _gateway.Client.PostJsonAsync("/v1/moderations", """{"model":"omni-moderation-latest","input":"a"}""");
            Assert.True((int)failed.StatusCode >= 500);
        }
        Assert.Equal(30, _upstream.Requests.Count);
        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("hello"));
        await _gateway.Client.PostForJsonAsync("/v1/chat/completions", """{"model":"omni-moderation-latest","messages":[{"role":"user","content":"hi"}]}""", HttpStatusCode.OK);
    }

    [Fact]
    public async Task ByDeployment_OpenForOtherCalls_RefusesAndDoesNotTest()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, "{}", 500);
        for (var i = 0; i < 30; i++)
        {
            using var failed = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"omni-moderation-latest","messages":[{"role":"user","content":"hi"}]}""");
        }
        var sent = _upstream.Requests.Count;
        Assert.True(sent < 30);
        using var refused = await _gateway.Client.PostJsonAsync("/v1/moderations", """{"model":"omni-moderation-latest","input":"a"}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal(sent, _upstream.Requests.Count);
    }

    [Fact]
    public async Task ByDeployment_RateLimited_SaysWhenToRetry()
    {
        _upstream.Answer = context =>
        {
            context.Response.Headers.RetryAfter = "7";
            return FakeUpstream.Json(context, "{}", 429);
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/moderations", """{"model":"omni-moderation-latest","input":"a"}""");
        Assert.Equal((HttpStatusCode.TooManyRequests, TimeSpan.FromSeconds(7)), (response.StatusCode, response.Headers.RetryAfter?.Delta));
        Assert.Contains("rate_limit_exceeded", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.True(response.Headers.Contains("Fairlead-Generation"));
    }

    [Theory]
    [InlineData(404, 1)]
    [InlineData(405, 1)]
    [InlineData(501, 1)]
    [InlineData(500, 3)]
    [InlineData(401, 2)]
    public async Task ByDeployment_Fails_IsRepeatedIfThatCanHelp(int status, int requests)
    {
        _upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"code":"x"}}""", status);
        await using var gateway = await TestGateway.StartAsync($$"""
            fairlead:
              providers: { up: { kind: openai, baseUrl: "{{_upstream.Url}}/v1", apiKeys: [sk-first, sk-second] } }
              retry: { maxRetries: 2, baseDelay: 1ms }
              models: { omni: { contextWindow: 8000, prices: { input: 0, output: 0 }, capabilities: { tools: false }, deployments: [{ provider: up }] } }
            """);
        using var response = await gateway.Client.PostJsonAsync("/v1/moderations", """{"model":"omni","input":"a"}""");
        Assert.True((int)response.StatusCode >= 500);
        Assert.Equal(requests, _upstream.Requests.Count);
        if (status == 401) Assert.Equal(["Bearer sk-first", "Bearer sk-second"], _upstream.Requests.Select(one => one.Headers["Authorization"].ToString()).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task ByDeployment_ConnectionBreaks_HasNoStatus()
    {
        _upstream.Answer = context =>
        {
            context.Abort();
            return Task.CompletedTask;
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/moderations", """{"model":"omni-moderation-latest","input":"a"}""");
        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        var record = Assert.Single((await _gateway.Admin.GetJsonAsync("/admin/v1/audit?generation_id=" + response.Headers.GetValues("Fairlead-Generation").Single())).GetProperty("data").EnumerateArray());
        Assert.Equal(JsonValueKind.Null, Assert.Single(record.GetProperty("attempts").EnumerateArray()).GetProperty("upstream_status").ValueKind);
    }

    [Fact]
    public async Task ByRules_Matches_AreInTheAuditRecord()
    {
        await AddPolicyAsync();
        using var response = await _gateway.Client.PostJsonAsync("/v1/moderations", """{"input":["a forbidden thing","a forbidden thing"]}""");
        var record = Assert.Single((await _gateway.Admin.GetJsonAsync("/admin/v1/audit?generation_id=" + response.Headers.GetValues("Fairlead-Generation").Single())).GetProperty("data").EnumerateArray());
        var verdict = Assert.Single(record.GetProperty("policy").EnumerateArray());
        Assert.Equal(("w", 2), (Text(verdict, "rule"), verdict.GetProperty("count").GetInt32()));
    }

    private static string? Text(JsonElement json, string name) => json.GetProperty(name).GetString();

    [Fact]
    public async Task ByRules_Image_IsRefused()
    {
        await AddPolicyAsync();
        var error = await PostAsync(
            """{"input":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}""", HttpStatusCode.BadRequest);
        Assert.Equal("incompatible_input", error.GetProperty("error").GetProperty("code").GetString());
    }

    private Task<JsonElement> PostAsync(string body, HttpStatusCode? expected = null) =>
        _gateway.Client.PostForJsonAsync("/v1/moderations", body, expected);

    private Task<JsonElement> AddPolicyAsync() => _gateway.Admin.PostForJsonAsync(
        "/admin/v1/policies",
        $$"""{"name":"m","project_id":"{{_gateway.ProjectId}}","rules":[{"id":"w","type":"words","words":["forbidden thing"],"action":"block"},{"id":"p","type":"personal_data","action":"redact"}]}""");
}

using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Administration;

/// <summary>Callers with tokens of an identity provider that runs in the test process, over HTTP.</summary>
public sealed class SingleSignOnTests : IAsyncLifetime
{
    private readonly TestIssuer _issuer = new(listens: true);
    private TestGateway _gateway = null!;

    public async ValueTask InitializeAsync()
    {
        _gateway = await TestGateway.StartAsync($$"""
            fairlead:
              authentication:
                oidc:
                  company:
                    issuer: {{_issuer.Url}}
                    audiences: [fairlead]
                    organization: any
                    scopes: [chat, embeddings, batches, "models:read", "usage:read", webhooks]
                    roles: { "fairlead-owners": owner, "fairlead-auditors": auditor, "fairlead-leads": organization_admin }
                    claims: { project: fairlead_project, role: groups, name: email }
            """);
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"sim-echo","messages":[{"role":"user","content":"hello"}]}""")]
    [InlineData("/v1/chat/completions", """{"model":"sim-echo","stream":true,"messages":[{"role":"user","content":"hello"}]}""")]
    [InlineData("/v1/completions", """{"model":"sim-echo","prompt":"hello"}""")]
    [InlineData("/v1/embeddings", """{"model":"sim-embed","input":"hello"}""")]
    [InlineData("/v1/responses", """{"model":"sim-echo","input":"hello"}""")]
    [InlineData("/v1/messages", """{"model":"sim-echo","max_tokens":50,"messages":[{"role":"user","content":"hello"}]}""")]
    [InlineData("/v2/generations", """{"model":"sim-echo","input":"hello","delivery":{"mode":"sync"}}""")]
    [InlineData("/v2/generations", """{"model":"sim-echo","input":"hello","delivery":{"mode":"auto","wait_seconds":30}}""")]
    public async Task Call_WithToken_WorksInEveryDialect(string path, string body)
    {
        using var client = _gateway.MakeClient(Token());
        using var response = await client.PostJsonAsync(path, body);
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(response.StatusCode == HttpStatusCode.OK, $"{(int)response.StatusCode} {text}");

        using var stranger = _gateway.MakeClient(Token(claims => claims["aud"] = "other"));
        using var refused = await stranger.PostJsonAsync(path, body);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.Contains("invalid_api_key", await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    /// <summary>A job runs after its request; its caller is found by the id.</summary>
    [Fact]
    public async Task Job_WithToken_RunsAndIsReadByTheSameCaller()
    {
        using var client = _gateway.MakeClient(Token());
        var job = await client.PostForJsonAsync("/v2/generations", """{"model":"sim-echo","input":"hello","delivery":{"mode":"job"}}""", HttpStatusCode.Accepted);
        var path = $"/v2/generations/{job.GetProperty("id").GetString()}";
        JsonElement state;
        do state = await client.GetJsonAsync(path);
        while (state.GetProperty("status").GetString() is "queued" or "in_progress");
        Assert.Equal("completed", state.GetProperty("status").GetString());
    }

    [Fact]
    public async Task AuditAndUsage_OfAToken_NameItsSubject()
    {
        using var client = _gateway.MakeClient(Token(claims => claims["sub"] = "grace@example.com"));
        await client.PostForJsonAsync("/v1/chat/completions", """{"model":"sim-echo","messages":[{"role":"user","content":"hello"}]}""");
        var records = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit?key_id=key_oidc_company_grace%40example.com")).GetProperty("data");
        Assert.Equal(_gateway.ProjectId, Assert.Single(records.EnumerateArray()).GetProperty("project_id").GetString());
        var usage = (await _gateway.Admin.GetJsonAsync("/admin/v1/usage?group_by=key")).GetProperty("data");
        Assert.Contains(usage.EnumerateArray(), row => row.GetProperty("group").GetProperty("key_id").GetString() == "key_oidc_company_grace@example.com");
    }

    [Theory]
    [InlineData(null, 403, 403)]
    [InlineData("fairlead-auditors", 200, 403)]
    [InlineData("fairlead-owners", 200, 201)]
    [InlineData("fairlead-leads", 200, 403)]
    public async Task Admin_WithToken_MayDoWhatItsRoleMay(string? group, int read, int write)
    {
        using var client = _gateway.MakeClient(Token(claims => claims["groups"] = group is null ? null : new JsonArray(group)));
        using var organizations = await client.GetAsync(new Uri("/admin/v1/organizations", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(read, (int)organizations.StatusCode);
        using var made = await client.PostJsonAsync("/admin/v1/organizations", """{"name":"New"}""");
        Assert.Equal(write, (int)made.StatusCode);
        if (group != "fairlead-leads") return;
        var seen = JsonDocument.Parse(await organizations.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement.GetProperty("data");
        Assert.Single(seen.EnumerateArray());
    }

    /// <summary>Limits of the project count for tokens as for keys.</summary>
    [Fact]
    public async Task Limits_OfTheProject_ApplyToTokens()
    {
        await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/projects/" + _gateway.ProjectId, """{"limits":{"requests_per_minute":1}}""");
        using var client = _gateway.MakeClient(Token());
        const string Body = """{"model":"sim-echo","messages":[{"role":"user","content":"hello"}]}""";
        await client.PostForJsonAsync("/v1/chat/completions", Body);
        await client.PostForJsonAsync("/v1/chat/completions", Body, HttpStatusCode.TooManyRequests);
    }

    [Fact]
    public async Task Rotation_OfTheIssuersKey_NeedsNoRestart()
    {
        using var before = _gateway.MakeClient(Token());
        await before.GetJsonAsync("/v1/models");
        _issuer.Rotate("next", elliptic: true, keepsOld: false);
        using var after = _gateway.MakeClient(Token());
        // The first token of the new key comes within the least time between two reads, so it has to be sent again.
        using var response = await after.GetAsync(new Uri("/v1/models", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        // The known token needs no key any more.
        await before.GetJsonAsync("/v1/models");
    }

    [Fact]
    public async Task WrongKeys_FromOneAddress_AreRefusedWith429AndKnownKeysWork()
    {
        using var wrong = _gateway.MakeClient("fl_not-a-key");
        for (var i = 0; i < 20; i++) await StatusAsync(wrong, HttpStatusCode.Unauthorized);
        using var response = await wrong.GetAsync(new Uri("/v1/models", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.InRange(response.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        await StatusAsync(_gateway.Client, HttpStatusCode.OK);
        using var token = _gateway.MakeClient(Token());
        await StatusAsync(token, HttpStatusCode.OK);

        async Task StatusAsync(HttpClient client, HttpStatusCode expected)
        {
            using var answer = await client.GetAsync(new Uri("/v1/models", UriKind.Relative), TestContext.Current.CancellationToken);
            Assert.Equal(expected, answer.StatusCode);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        _issuer.Dispose();
    }

    private string Token(Action<JsonObject>? change = null) => _issuer.Token(claims =>
    {
        claims["fairlead_project"] = _gateway.ProjectId;
        change?.Invoke(claims);
    });
}

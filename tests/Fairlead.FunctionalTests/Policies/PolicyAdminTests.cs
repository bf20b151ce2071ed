using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;

namespace Fairlead.FunctionalTests.Policies;

/// <summary><c>/admin/v1/policies</c>.</summary>
public sealed class PolicyAdminTests : IAsyncLifetime
{
    private const string Rule = """{"id":"r","type":"words","words":["secret plan"],"action":"redact"}""";

    private TestGateway _gateway = null!;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(StorageProvider.Postgres, """
        fairlead:
          contentPolicy:
            policies:
              from-file:
                rules: [{ id: w, type: words, action: flag, words: [file word] }]
        """);

    public ValueTask DisposeAsync() => _gateway.DisposeAsync();

    [Fact]
    public async Task Policy_CreateChangeDelete_MakesVersions()
    {
        var made = await CreateAsync("plan", Rule);
        var id = made.GetProperty("id").GetString()!;
        Assert.StartsWith("pol_", id, StringComparison.Ordinal);
        Assert.Equal(1, made.GetProperty("version").GetInt32());
        Assert.Equal(_gateway.ProjectId, made.GetProperty("project_id").GetString());
        Assert.Equal("both", made.GetProperty("rules")[0].GetProperty("direction").GetString());

        var changed = await _gateway.Admin.SendForJsonAsync(
            HttpMethod.Patch, $"/admin/v1/policies/{id}", """{"name":"plan 2","rules":[{"id":"r","type":"words","words":["other"],"action":"block"}]}""");
        Assert.Equal(2, changed.GetProperty("version").GetInt32());
        // An equal change is none.
        var same = await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/policies/{id}", """{"name":"plan 2"}""");
        Assert.Equal(2, same.GetProperty("version").GetInt32());

        var versions = (await _gateway.Admin.GetJsonAsync($"/admin/v1/policies/{id}/versions")).GetProperty("data");
        Assert.Equal([2, 1], versions.EnumerateArray().Select(one => one.GetProperty("version").GetInt32()));
        Assert.Equal("key_environment", versions[0].GetProperty("changed_by").GetProperty("key_id").GetString());
        var first = await _gateway.Admin.GetJsonAsync($"/admin/v1/policies/{id}/versions/1");
        Assert.Equal(("plan", "installation"), (first.GetProperty("name").GetString(), first.GetProperty("managed_by").GetString()));
        Assert.Equal("secret plan", first.GetProperty("rules")[0].GetProperty("words")[0].GetString());

        var list = (await _gateway.Admin.GetJsonAsync($"/admin/v1/policies?project_id={_gateway.ProjectId}")).GetProperty("data");
        Assert.Equal(id, Assert.Single(list.EnumerateArray()).GetProperty("id").GetString());
        using var gone = await _gateway.Admin.DeleteAsync(new Uri($"/admin/v1/policies/{id}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NoContent, gone.StatusCode);
        await _gateway.Admin.GetJsonAsync($"/admin/v1/policies/{id}", HttpStatusCode.NotFound);
        await _gateway.Admin.GetJsonAsync($"/admin/v1/policies/{id}/versions", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task OrganizationAdmin_ManagesItsOwnPoliciesAndLoosensNoOthers()
    {
        var organization = (await _gateway.Admin.GetJsonAsync("/admin/v1/projects/" + _gateway.ProjectId)).GetProperty("organization_id").GetString()!;
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"a","project_id":"{{_gateway.ProjectId}}","role":"organization_admin"}""");
        using var admin = _gateway.MakeClient(key.GetProperty("secret").GetString());
        var installed = (await CreateAsync("installed", Rule.Replace("redact", "block", StringComparison.Ordinal))).GetProperty("id").GetString();
        Assert.Equal("installation", (await admin.GetJsonAsync($"/admin/v1/policies/{installed}")).GetProperty("managed_by").GetString());

        // It sees and tries what the installation manages, and changes none of it.
        await admin.PostForJsonAsync($"/admin/v1/policies/{installed}/try", """{"text":"a secret plan"}""", HttpStatusCode.OK);
        foreach (var body in (string[])[$$"""{"rules":[{{Rule}}]}""", """{"name":"other"}""", """{"managed_by":"organization"}"""])
            await AssertRefusedAsync(HttpMethod.Patch, $"/admin/v1/policies/{installed}", body);
        await AssertRefusedAsync(HttpMethod.Delete, $"/admin/v1/policies/{installed}", "{}");

        // Its own are managed by it, also beside a name of the installation or of the file.
        foreach (var name in (string[])["installed", "from-file", "third"])
        {
            var own = await admin.PostForJsonAsync("/admin/v1/policies", $$"""{"name":"{{name}}","organization_id":"{{organization}}","rules":[{"id":"r","type":"words","words":["{{name}} word"],"action":"block"}]}""", HttpStatusCode.Created);
            Assert.Equal((name, "organization"), (own.GetProperty("name").GetString(), own.GetProperty("managed_by").GetString()));
            Assert.Equal(name, (await admin.GetJsonAsync($"/admin/v1/policies/{own.GetProperty("id").GetString()}")).GetProperty("name").GetString());
        }
        await admin.PostForJsonAsync("/admin/v1/policies", $$"""{"name":"third","organization_id":"{{organization}}","rules":[{{Rule}}]}""", HttpStatusCode.Conflict);
        await AssertRefusedAsync(HttpMethod.Post, "/admin/v1/policies", $$"""{"name":"x","organization_id":"{{organization}}","managed_by":"installation","rules":[{{Rule}}]}""");
        await AssertRefusedAsync(HttpMethod.Post, "/admin/v1/policies", $$"""{"name":"x","organization_id":"{{organization}}","rules":[{"id":"r","type":"remote","model":"sim-fast","action":"block"}]}""");
        foreach (var word in (string[])["third word", "secret plan"])
        {
            using var blocked = await _gateway.Client.PostJsonAsync("/v1/chat/completions", $$"""{"model":"sim-fast","messages":[{"role":"user","content":"a {{word}}"}]}""");
            Assert.Contains("content_blocked", await blocked.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }

        // The list has no policy of the whole installation.
        var listed = (await admin.GetJsonAsync("/admin/v1/policies?limit=2")).GetProperty("data").EnumerateArray().Concat((await admin.GetJsonAsync("/admin/v1/policies")).GetProperty("data").EnumerateArray()).Select(one => one.GetProperty("name").GetString()).Distinct();
        Assert.Equal(["from-file", "installed", "third"], listed.Order(StringComparer.Ordinal));
        await admin.GetJsonAsync("/admin/v1/policies/pol_from-file", HttpStatusCode.NotFound);

        async Task AssertRefusedAsync(HttpMethod method, string path, string body) =>
            Assert.Equal("insufficient_scope", (await admin.SendForJsonAsync(method, path, body, HttpStatusCode.Forbidden)).GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("""{"name":"a","project_id":"PROJECT","managed_by":"nobody","rules":[RULE]}""", "/managed_by", "invalid_parameter")]
    [InlineData("""{"project_id":"PROJECT","rules":[RULE]}""", "/name", "missing_parameter")]
    [InlineData("""{"name":"a","rules":[RULE]}""", "/organization_id", "missing_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","organization_id":"org_x","rules":[RULE]}""", "/organization_id", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"proj_unknown","rules":[RULE]}""", "/project_id", "invalid_parameter")]
    [InlineData("""{"name":"a","organization_id":"org_unknown","rules":[RULE]}""", "/organization_id", "invalid_parameter")]
    [InlineData("""{"name":"a","key_id":"key_unknown","rules":[RULE]}""", "/key_id", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT"}""", "/rules", "missing_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":{}}""", "/rules", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[1]}""", "/rules/0", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"type":"words","words":["x"],"action":"block"}]}""", "/rules/0/id", "missing_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"wordz","words":["x"],"action":"block"}]}""", "/rules/0/type", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"words","words":["x"],"action":"stop"}]}""", "/rules/0/action", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"words","words":["x"],"action":"block","direction":"up"}]}""", "/rules/0/direction", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"words","words":[7],"action":"block"}]}""", "/rules/0/words/0", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"words","words":["x"],"action":"block","colour":"red"}]}""", "/rules/0/colour", "unsupported_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"regex","pattern":"(a","max_match_length":10,"action":"block"}]}""", "/rules/0/pattern", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"regex","pattern":"a+","action":"block"}]}""", "/rules/0/max_match_length", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"personal_data","kinds":["shoe_size"],"action":"block"}]}""", "/rules/0/kinds/0", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"remote","action":"block"}]}""", "/rules/0/url", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"remote","url":"https://127.0.0.1/m","action":"block"}]}""", "/rules/0/url", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[{"id":"r","type":"remote","url":"http://example.com/m","action":"block"}]}""", "/rules/0/url", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[RULE,RULE]}""", "/rules/1/id", "invalid_parameter")]
    [InlineData("""{"name":"a","project_id":"PROJECT","rules":[RULE],"version":3}""", "/version", "unsupported_parameter")]
    public async Task Create_Invalid_NamesField(string body, string pointer, string code)
    {
        body = body.Replace("PROJECT", _gateway.ProjectId, StringComparison.Ordinal).Replace("RULE", Rule, StringComparison.Ordinal);
        var problem = await _gateway.Admin.PostForJsonAsync("/admin/v1/policies", body, HttpStatusCode.BadRequest);
        Assert.Contains(pointer, problem.GetProperty("errors").EnumerateArray().Select(one => one.GetProperty("pointer").GetString()));
        Assert.Equal(code, problem.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Policy_NameTakenOrOfFile_IsConflict()
    {
        await CreateAsync("taken", Rule);
        await _gateway.Admin.PostForJsonAsync("/admin/v1/policies", BodyOf("taken", Rule), HttpStatusCode.Conflict);
        await _gateway.Admin.PostForJsonAsync("/admin/v1/policies", BodyOf("from-file", Rule), HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task Policy_OfConfiguration_IsShownAndNotChanged()
    {
        var first = (await _gateway.Admin.GetJsonAsync("/admin/v1/policies")).GetProperty("data")[0];
        Assert.Equal("from-file", first.GetProperty("name").GetString());
        Assert.Equal("configuration", first.GetProperty("source").GetString());
        var id = first.GetProperty("id").GetString();
        Assert.Equal(id, (await _gateway.Admin.GetJsonAsync($"/admin/v1/policies/{id}")).GetProperty("id").GetString());
        await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/policies/{id}", """{"name":"x"}""", HttpStatusCode.Conflict);
        using var refused = await _gateway.Admin.DeleteAsync(new Uri($"/admin/v1/policies/{id}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
        // It applies to every caller.
        var reply = await _gateway.Client.PostForJsonAsync(
            "/v1/chat/completions", """{"model":"sim-echo","messages":[{"role":"user","content":"a file word"}]}""");
        Assert.Contains(reply.GetProperty("fairlead").GetProperty("quality").GetProperty("policy").EnumerateArray(), one => one.GetProperty("rule").GetString() == "w");
    }

    [Fact]
    public async Task List_Pages_HaveEveryPolicyOnce()
    {
        for (var i = 0; i < 5; i++) await CreateAsync($"page {i}", Rule);
        var seen = new List<string>();
        var cursor = "";
        do
        {
            var page = await _gateway.Admin.GetJsonAsync($"/admin/v1/policies?limit=2{cursor}");
            var data = page.GetProperty("data").EnumerateArray().Select(one => one.GetProperty("name").GetString()!).ToList();
            Assert.InRange(data.Count, 1, 2);
            seen.AddRange(data);
            cursor = page.GetProperty("next_cursor").GetString() is { } next ? $"&cursor={next}" : "";
        }
        while (cursor.Length > 0);
        Assert.Equal(["from-file", "page 0", "page 1", "page 2", "page 3", "page 4"], seen);
    }

    [Theory]
    [InlineData("input", "the secret plan", "redact")]
    [InlineData("output", "the secret plan", "redact")]
    [InlineData("input", "nothing of it", "pass")]
    public async Task Try_Text_ShowsWhatItWouldMeet(string direction, string text, string action)
    {
        var id = (await CreateAsync("try", Rule)).GetProperty("id").GetString();
        var result = await _gateway.Admin.PostForJsonAsync(
            $"/admin/v1/policies/{id}/try", $$"""{"text":"{{text}}","direction":"{{direction}}"}""");
        Assert.Equal(action, result.GetProperty("action").GetString());
        if (action == "pass") Assert.Equal(text, result.GetProperty("text").GetString());
        else Assert.DoesNotContain("secret", result.GetProperty("text").GetString(), StringComparison.Ordinal);
        Assert.Equal(action == "pass" ? 0 : 1, result.GetProperty("verdicts").GetArrayLength());
    }

    [Fact]
    public async Task Try_Invalid_IsRefused()
    {
        var id = (await CreateAsync("try", Rule)).GetProperty("id").GetString();
        foreach (var body in new[] { "{}", """{"text":7}""", """{"text":"a","direction":"both"}""", """{"text":"a","more":1}""" })
            await _gateway.Admin.PostForJsonAsync($"/admin/v1/policies/{id}/try", body, HttpStatusCode.BadRequest);
        await _gateway.Admin.PostForJsonAsync("/admin/v1/policies/pol_unknown/try", """{"text":"a"}""", HttpStatusCode.NotFound);
    }

    [Theory]
    [InlineData("owner", HttpStatusCode.OK)]
    [InlineData("operator", HttpStatusCode.OK)]
    [InlineData("auditor", HttpStatusCode.Forbidden)]
    [InlineData("organization_admin", HttpStatusCode.Forbidden)]
    public async Task Try_RuleThatAsksModel_NeedsRoleThatMayCauseCosts(string role, HttpStatusCode status)
    {
        var asking = (await CreateAsync("asks", """{"id":"r","type":"remote","model":"sim-echo","action":"block","direction":"input"}""")).GetProperty("id").GetString();
        var local = (await CreateAsync("local", Rule)).GetProperty("id").GetString();
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"a","project_id":"{{_gateway.ProjectId}}","role":"{{role}}"}""");
        using var admin = _gateway.MakeClient(key.GetProperty("secret").GetString());
        await admin.PostForJsonAsync($"/admin/v1/policies/{asking}/try", """{"text":"safe"}""", status);
        await admin.PostForJsonAsync($"/admin/v1/policies/{local}/try", """{"text":"safe"}""", HttpStatusCode.OK);
    }

    [Fact]
    public async Task Owner_Deleted_PolicyIsGone()
    {
        var (_, key) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        var made = await _gateway.Admin.PostForJsonAsync("/admin/v1/policies", $$"""{"name":"of key","key_id":"{{key}}","rules":[{{Rule}}]}""");
        using var gone = await _gateway.Admin.DeleteAsync(new Uri($"/admin/v1/keys/{key}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NoContent, gone.StatusCode);
        await _gateway.Admin.GetJsonAsync($"/admin/v1/policies/{made.GetProperty("id").GetString()}", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Change_ByAnotherNode_IsInForceSoon()
    {
        var id = (await CreateAsync("soon", Rule)).GetProperty("id").GetString();
        // As another node would: straight into the database.
        var storage = (IStorage)_gateway.Services.GetService(typeof(IStorage))!;
        await storage.ExecuteAsync(
            "UPDATE content_policies SET version = 2, content = @content WHERE id = @id",
            [("@content", """[{"id":"r","type":"words","words":["other"],"action":"block"}]"""), ("@id", id)], TestContext.Current.CancellationToken);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (true)
        {
            using var response = await _gateway.Client.PostJsonAsync(
                "/v1/chat/completions", """{"model":"sim-echo","messages":[{"role":"user","content":"the other one"}]}""");
            if (response.StatusCode == HttpStatusCode.BadRequest) return;
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, limit.Token);
        }
    }

    private static string Escaped(string text) => JsonSerializer.Serialize(text);

    private string BodyOf(string name, string rule) => $$"""{"name":{{Escaped(name)}},"project_id":"{{_gateway.ProjectId}}","rules":[{{rule}}]}""";

    private Task<JsonElement> CreateAsync(string name, string rule) => _gateway.Admin.PostForJsonAsync("/admin/v1/policies", BodyOf(name, rule));
}

using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Policies;
using Fairlead.Storage;

namespace Fairlead.FunctionalTests.Auditing;

public sealed class SqliteAuditContentTests() : AuditContentTests(StorageProvider.Sqlite);

public sealed class PostgresAuditContentTests() : AuditContentTests(StorageProvider.Postgres);

/// <summary>The content of calls in their audit records, in every dialect and at every level, over HTTP.</summary>
public abstract class AuditContentTests : IAsyncLifetime
{
    private const string Email = "ada.lovelace@example.org";
    private const string Card = "4111 1111 1111 1111";

    // No key of anyone: it has the form of one.
    private const string Secret = "sk-proj-a8Kd93jfLq02mXzPq7Vt5RwY1bNcE4uGh6TsJiO0";

    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected AuditContentTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(_store, "fairlead:\n  audit: { content: full }\n");

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    public static TheoryData<string, bool> Cases => new(
        [.. ((string[])["chat", "responses", "messages", "v2", "completions"]).SelectMany(dialect => new[] { (dialect, false), (dialect, true) })]);

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Full_EveryDialect_RecordsRequestAndResponse(string dialect, bool stream)
    {
        var text = $"the words of {dialect} {stream}";
        await SendAsync(dialect, text, stream);
        var content = await OnlyAsync();
        Assert.Equal("full", content.GetProperty("level").GetString());
        Assert.Contains(text, content.GetProperty("input").GetRawText(), StringComparison.Ordinal);
        var choice = Assert.Single(content.GetProperty("output").EnumerateArray());
        Assert.Equal(text, Assert.Single(choice.GetProperty("parts").EnumerateArray()).GetProperty("text").GetString());
        Assert.NotEqual(JsonValueKind.Null, choice.GetProperty("finish_reason").ValueKind);
        Assert.False(content.TryGetProperty("truncated", out _));

        // Only on demand.
        var plain = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit")).GetProperty("data")[0].GetProperty("content");
        Assert.Equal(["level", "sha256", "bytes"], plain.EnumerateObject().Select(member => member.Name));
    }

    [Fact]
    public async Task Full_Embeddings_RecordsInputs()
    {
        await PostAsync("/v1/embeddings", """{"model":"sim-embed","input":["one text","another text"]}""");
        var content = await OnlyAsync();
        Assert.Equal("another text", content.GetProperty("input").GetProperty("input")[1].GetString());
        Assert.Equal(0, content.GetProperty("output").ValueKind == JsonValueKind.Null ? 0 : content.GetProperty("output").GetArrayLength());
    }

    [Fact]
    public async Task Full_ToolCallAndSeveralChoices_AreRecorded()
    {
        await PostAsync("/v1/chat/completions", """
            {"model":"sim-tools","messages":[{"role":"user","content":"weather"}],"tools":[{"type":"function","function":{"name":"get_weather",
             "parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]}
            """);
        var call = (await OnlyAsync()).GetProperty("output")[0].GetProperty("parts").EnumerateArray().Single(part => part.GetProperty("type").GetString() == "tool_call");
        Assert.Equal("get_weather", call.GetProperty("name").GetString());
        Assert.Contains("city", call.GetProperty("arguments").GetString(), StringComparison.Ordinal);

        await PostAsync("/v1/chat/completions", """{"model":"sim-echo","n":3,"messages":[{"role":"user","content":"thrice"}]}""");
        Assert.Equal(3, (await ContentsAsync())[0].GetProperty("output").GetArrayLength());
    }

    [Fact]
    public async Task Full_Job_RecordsRequestAndResponse()
    {
        var job = await _gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"sim-echo","input":"words of a job","delivery":{"mode":"job"}}""");
        await _gateway.Client.GetJsonAsync($"/v2/generations/{job.GetProperty("id").GetString()}?wait=60");
        var content = await OnlyAsync();
        Assert.Contains("words of a job", content.GetProperty("input").GetRawText(), StringComparison.Ordinal);
        Assert.Equal("words of a job", content.GetProperty("output")[0].GetProperty("parts")[0].GetProperty("text").GetString());
    }

    [Fact]
    public async Task Full_FailedCall_RecordsRequest()
    {
        const string Body = """{"model":"sim-fast","messages":[{"role":"user","content":"to a provider that fails"}]}""";
        using (var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Body, [("Fairlead-Simulate", "status=400")]))
            Assert.True((int)response.StatusCode >= 400);
        var content = await OnlyAsync();
        Assert.Contains("to a provider that fails", content.GetProperty("input").GetRawText(), StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Null, content.GetProperty("output").ValueKind);
    }

    /// <summary>Anyone with a key can cause refused calls, so they leave no text.</summary>
    [Fact]
    public async Task Full_RefusedCall_LeavesAHashAtMost()
    {
        await PostAsync("/v1/chat/completions", """{"model":"nothing","messages":[{"role":"user","content":"to nobody"}]}""", HttpStatusCode.NotFound);
        var content = await OnlyAsync();
        Assert.Equal("hash", content.GetProperty("level").GetString());
        Assert.DoesNotContain("nobody", content.GetRawText(), StringComparison.Ordinal);
    }

    /// <summary>The stricter of configuration, organization, project and key, from the next call on.</summary>
    [Fact]
    public async Task Level_OfProject_IsStricterFromTheNextCallOn()
    {
        foreach (var level in (string[])["hash", "none", "redacted", "full"])
        {
            await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/projects/" + _gateway.ProjectId, $$"""{"audit_content":"{{level}}"}""");
            await SendAsync("chat", "hello", stream: false);
            var record = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit?include=content")).GetProperty("data")[0].GetProperty("content");
            Assert.Equal(level, record.ValueKind == JsonValueKind.Null ? "none" : record.GetProperty("level").GetString());
        }
    }

    [Theory]
    [InlineData("none")]
    [InlineData("hash")]
    [InlineData("redacted")]
    public async Task Planted_PersonalDataAndSecrets_AreNowhere(string level)
    {
        await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/projects/" + _gateway.ProjectId, $$"""{"audit_content":"{{level}}"}""");
        foreach (var (dialect, stream) in ((string, bool)[])[("chat", false), ("chat", true), ("responses", true), ("messages", true), ("v2", false), ("completions", true)])
            await SendAsync(dialect, $"{Email} pays with {Card} and {Secret}", stream);
        await PostAsync("/v1/embeddings", JsonSerializer.Serialize(new { model = "sim-embed", input = $"{Email} {Card} {Secret}" }));

        var page = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit?include=content&type=all")).GetRawText();
        using var export = await _gateway.Admin.GetAsync(new Uri("/admin/v1/audit/export?include=content&format=csv", UriKind.Relative), Cancel);
        var everything = page + await export.Content.ReadAsStringAsync(Cancel) + SpoolText();
        foreach (var planted in (string[])[Email, Card, Secret, "ada.lovelace", Secret[10..30]]) Assert.DoesNotContain(planted, everything, StringComparison.Ordinal);
        if (level == "redacted") Assert.Contains("[EMAIL_1] pays with [CARD_1]", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Shipped_Content_IsNotInTheSpoolAnyMore()
    {
        await SendAsync("chat", "a text for the spool", stream: true);
        Assert.Contains("a text for the spool", (await OnlyAsync()).GetRawText(), StringComparison.Ordinal);
        Assert.DoesNotContain("a text for the spool", SpoolText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Export_WithContent_HasItInAllFormats()
    {
        await SendAsync("chat", "a text to export", stream: false);
        foreach (var format in (string[])["jsonl", "csv"])
        {
            var plain = await _gateway.Admin.GetStringAsync(new Uri($"/admin/v1/audit/export?format={format}", UriKind.Relative), Cancel);
            Assert.DoesNotContain("a text to export", plain, StringComparison.Ordinal);
            var with = await _gateway.Admin.GetStringAsync(new Uri($"/admin/v1/audit/export?format={format}&include=content", UriKind.Relative), Cancel);
            Assert.Contains("a text to export", with, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("owner", true)]
    [InlineData("auditor", true)]
    [InlineData("operator", false)]
    [InlineData("organization_admin", true)]
    public async Task Roles_MayReadContent_OrGet403(string role, bool may)
    {
        var project = await _gateway.Admin.GetJsonAsync("/admin/v1/projects/" + _gateway.ProjectId);
        var more = role == "organization_admin" ? $",\"organization_id\":\"{project.GetProperty("organization_id").GetString()}\"" : "";
        var (secret, _) = await _gateway.MakeKeyAsync($"\"role\":\"{role}\"{more}");
        using var client = _gateway.MakeClient(secret);
        foreach (var path in (string[])["/admin/v1/audit", "/admin/v1/audit/export"])
        {
            using var plain = await client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
            Assert.Equal(HttpStatusCode.OK, plain.StatusCode);
            using var content = await client.GetAsync(new Uri(path + "?include=content", UriKind.Relative), Cancel);
            Assert.Equal(may ? HttpStatusCode.OK : HttpStatusCode.Forbidden, content.StatusCode);
        }
    }

    /// <summary>Who reads content leaves a record, one for each request; who does not get it leaves none.</summary>
    [Fact]
    public async Task Read_Content_LeavesARecord()
    {
        var project = await _gateway.Admin.GetJsonAsync("/admin/v1/projects/" + _gateway.ProjectId);
        var organization = project.GetProperty("organization_id").GetString();
        var (secret, id) = await _gateway.MakeKeyAsync($"\"role\":\"organization_admin\",\"organization_id\":\"{organization}\"");
        using var client = _gateway.MakeClient(secret);
        foreach (var path in (string[])["/admin/v1/audit", "/admin/v1/audit?include=content&user=u-7", "/admin/v1/audit/export?include=content&format=csv", "/admin/v1/audit?include=content&limit=0"])
        {
            using var response = await client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
            await response.Content.ReadAsStringAsync(Cancel);
        }
        var page = await _gateway.Admin.GetJsonAsync("/admin/v1/audit?type=admin");
        JsonElement[] reads = [.. page.GetProperty("data").EnumerateArray().Where(record => record.GetProperty("action").GetString() == "audit.read_content")];
        Assert.Equal(2, reads.Length);
        Assert.All(reads, read => Assert.Equal((id, organization), (read.GetProperty("key_id").GetString(), read.GetProperty("organization_id").GetString())));
        Assert.Contains(reads, read => read.GetProperty("after").GetProperty("include").GetString() == "content" && read.GetProperty("after").TryGetProperty("user", out var user) && user.GetString() == "u-7");
    }

    /// <summary>An organization may always have its content for less long than the configuration says.</summary>
    [Fact]
    public async Task Retention_OrganizationAdmin_SetsNoMoreThanTheConfiguration()
    {
        var project = await _gateway.Admin.GetJsonAsync("/admin/v1/projects/" + _gateway.ProjectId);
        var organization = project.GetProperty("organization_id").GetString();
        var (secret, _) = await _gateway.MakeKeyAsync($"\"role\":\"organization_admin\",\"organization_id\":\"{organization}\"");
        using var client = _gateway.MakeClient(secret);
        // The configuration says nothing about content, and 90 days for records.
        foreach (var (days, status) in ((string, HttpStatusCode)[])[("91", HttpStatusCode.Forbidden), ("90", HttpStatusCode.OK), ("91", HttpStatusCode.Forbidden), ("7", HttpStatusCode.OK), ("8", HttpStatusCode.Forbidden), ("null", HttpStatusCode.Forbidden)])
            await client.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/organizations/" + organization, $$"""{"audit_content_retention_days":{{days}}}""", status);
    }

    [Theory]
    [InlineData("include=everything", "include")]
    [InlineData("include=content&limit=101", "limit")]
    public async Task Read_InvalidParameter_Returns400WithItsName(string query, string field)
    {
        var error = await _gateway.Admin.GetJsonAsync("/admin/v1/audit?" + query, HttpStatusCode.BadRequest);
        Assert.Equal(("invalid_parameter", "/" + field), (error.GetProperty("code").GetString(), error.GetProperty("errors")[0].GetProperty("pointer").GetString()));
    }

    [Theory]
    [InlineData("""{"audit_retention_days":0}""", "audit_retention_days")]
    [InlineData("""{"audit_retention_days":36501}""", "audit_retention_days")]
    [InlineData("""{"audit_content_retention_days":"7"}""", "audit_content_retention_days")]
    [InlineData("""{"audit_retention_days":5,"audit_content_retention_days":6}""", "audit_content_retention_days")]
    public async Task Organization_InvalidRetention_Returns400WithItsName(string fields, string field)
    {
        var made = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Acme"}""");
        var error = await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/organizations/" + made.GetProperty("id").GetString(), fields, HttpStatusCode.BadRequest);
        Assert.Equal(("invalid_parameter", "/" + field), (error.GetProperty("code").GetString(), error.GetProperty("errors")[0].GetProperty("pointer").GetString()));
    }

    [Fact]
    public async Task Organization_Retention_IsStoredAndRemoved()
    {
        var made = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Acme","audit_retention_days":30,"audit_content_retention_days":7}""");
        var path = "/admin/v1/organizations/" + made.GetProperty("id").GetString();
        var read = await _gateway.Admin.GetJsonAsync(path);
        Assert.Equal((30, 7), (read.GetProperty("audit_retention_days").GetInt32(), read.GetProperty("audit_content_retention_days").GetInt32()));
        read = await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, path, """{"audit_retention_days":null}""");
        Assert.Equal(JsonValueKind.Null, read.GetProperty("audit_retention_days").ValueKind);
        Assert.Equal(7, read.GetProperty("audit_content_retention_days").GetInt32());
    }

    private Task SendAsync(string dialect, string text, bool stream) => PostAsync(
        dialect == "completions" ? "/v1/completions" : PolicyWorld.PathOf(dialect),
        dialect == "completions" ? JsonSerializer.Serialize(new { model = "sim-echo", prompt = text, stream, max_tokens = 200 })
            : PolicyWorld.Body(dialect, text, stream).Replace("\"model\":\"m\"", "\"model\":\"sim-echo\"", StringComparison.Ordinal));

    private async Task PostAsync(string path, string body, HttpStatusCode status = HttpStatusCode.OK)
    {
        using var response = await _gateway.Client.PostJsonAsync(path, body, completion: HttpCompletionOption.ResponseContentRead);
        Assert.True(status == response.StatusCode, await response.Content.ReadAsStringAsync(Cancel));
    }

    [Fact]
    public async Task Erasure_OfContent_RemovesItAndKeepsTheRecord()
    {
        await SendAsync("chat", "words that go", stream: false);
        await SendAsync("chat", "words that stay", stream: false);
        var records = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit?include=content")).GetProperty("data").EnumerateArray().ToList();
        var gone = Assert.Single(records, record => record.GetRawText().Contains("words that go", StringComparison.Ordinal));
        var id = gone.GetProperty("generation_id").GetString();
        var erasure = await _gateway.Admin.PostForJsonAsync(
            "/admin/v1/erasures", $$"""{"generation_id":"{{id}}","what":"content"}""", HttpStatusCode.Accepted);
        while (erasure.GetProperty("status").GetString() != "completed")
        {
            Assert.NotEqual("failed", erasure.GetProperty("status").GetString());
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
            erasure = await _gateway.Admin.GetJsonAsync("/admin/v1/erasures/" + erasure.GetProperty("id").GetString());
        }
        Assert.Equal(1, erasure.GetProperty("counts").GetProperty("audit_content").GetInt32());

        var after = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit?include=content")).GetProperty("data").EnumerateArray().ToList();
        Assert.Equal(2, after.Count);
        var erased = Assert.Single(after, record => record.GetProperty("generation_id").GetString() == id);
        Assert.Equal("removed_by_erasure", erased.GetProperty("content").GetProperty("unavailable").GetString());
        Assert.Equal(gone.GetProperty("content").GetProperty("sha256").GetString(), erased.GetProperty("content").GetProperty("sha256").GetString());
        Assert.Contains(after, record => record.GetRawText().Contains("words that stay", StringComparison.Ordinal));
    }

    private async Task<JsonElement> OnlyAsync() => Assert.Single(await ContentsAsync());

    private async Task<List<JsonElement>> ContentsAsync()
    {
        var page = await _gateway.Admin.GetJsonAsync("/admin/v1/audit?include=content");
        return [.. page.GetProperty("data").EnumerateArray().Select(record => record.GetProperty("content"))];
    }

    private string SpoolText()
    {
        var text = new StringBuilder();
        foreach (var path in Directory.EnumerateFiles(Path.Combine(_gateway.DataDirectory, "spool"), "*", SearchOption.AllDirectories))
        {
            if (Path.GetFileName(path) == "lock") continue;
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(file, Encoding.Latin1);
            text.Append(reader.ReadToEnd());
        }
        return text.ToString();
    }
}

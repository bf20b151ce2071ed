using System.Net;
using System.Text.Json.Nodes;
using Fairlead.Storage;

namespace Fairlead.Tests.Access;

public sealed class SqliteOrganizationEndpointsTests() : OrganizationEndpointsTests(StorageProvider.Sqlite);

public sealed class PostgresOrganizationEndpointsTests() : OrganizationEndpointsTests(StorageProvider.Postgres);

public abstract class OrganizationEndpointsTests : AdminTests
{
    private protected OrganizationEndpointsTests(StorageProvider provider)
        : base(provider)
    {
    }

    [Fact]
    public async Task Organization_CreateReadUpdateDelete_Works()
    {
        var made = await Host.PostAsync("/admin/v1/organizations", """{"name":"Acme Ω"}""");
        var id = made.Expect(HttpStatusCode.Created)["id"]!.GetValue<string>();
        Assert.Matches("^org_[0-9A-HJKMNP-TV-Z]{26}$", id);
        Assert.Equal("/admin/v1/organizations/" + id, made.Headers.Location?.ToString());
        Assert.Equal("no-store", made.Headers.CacheControl?.ToString());
        Assert.Equal(["id", "object", "name", "weight", "share_across_organizations", "audit_content", "audit_retention_days", "audit_content_retention_days", "limits", "created_at", "updated_at"], made.Json.AsObject().Select(field => field.Key));

        Assert.Equal(made.Text, (await Host.GetAsync("/admin/v1/organizations/" + id)).Text);
        Assert.Equal("Beta", (await Host.PatchAsync("/admin/v1/organizations/" + id, """{"name":"Beta"}""")).Expect(HttpStatusCode.OK)["name"]!.GetValue<string>());
        Assert.Equal("Beta", (await Host.PatchAsync("/admin/v1/organizations/" + id, "{}")).Expect(HttpStatusCode.OK)["name"]!.GetValue<string>());
        (await Host.DeleteAsync("/admin/v1/organizations/" + id)).Expect(HttpStatusCode.NoContent);
        (await Host.GetAsync("/admin/v1/organizations/" + id)).ExpectProblem(404, "not_found");
        (await Host.DeleteAsync("/admin/v1/organizations/" + id)).ExpectProblem(404, "not_found");
        (await Host.PatchAsync("/admin/v1/organizations/" + id, "{}")).ExpectProblem(404, "not_found");
    }

    [Fact]
    public async Task List_AllPages_ReturnEveryItemOnce()
    {
        for (var i = 0; i < 7; i++) (await Host.PostAsync("/admin/v1/organizations", $$"""{"name":"o{{i}}"}""")).Expect(HttpStatusCode.Created);

        var seen = new List<string>();
        var pages = 0;
        string? cursor = null;
        do
        {
            var page = (await Host.GetAsync("/admin/v1/organizations?limit=3" + (cursor is null ? "" : "&cursor=" + cursor))).Expect(HttpStatusCode.OK);
            Assert.Equal(["data", "next_cursor"], page.AsObject().Select(field => field.Key));
            seen.AddRange(page["data"]!.AsArray().Select(row => row!["id"]!.GetValue<string>()));
            cursor = page["next_cursor"]?.GetValue<string>();
            pages++;
        }
        while (cursor is not null);
        Assert.Equal(3, pages);
        Assert.Equal(7, seen.Distinct().Count());
        Assert.Equal(seen.Order(StringComparer.Ordinal), seen);
    }

    [Theory]
    [InlineData("limit=0")]
    [InlineData("limit=101")]
    [InlineData("limit=-1")]
    [InlineData("limit=ten")]
    [InlineData("limit=")]
    [InlineData("limit=1&limit=2")]
    [InlineData("limit=99999999999999999999")]
    [InlineData("cursor=rubbish")]
    [InlineData("cursor=proj_01ARZ3NDEKTSV4RRFFQ69G5FAV")]
    [InlineData("cursor=org_'%20OR%201%3D1%20--%20aaaaaaaaa")]
    public async Task List_InvalidLimitOrCursor_Returns400(string query) =>
        (await Host.GetAsync("/admin/v1/organizations?" + query)).ExpectProblem(400, "invalid_parameter");

    [Fact]
    public async Task List_UnknownParameter_Returns400NamingParameter()
    {
        var answer = (await Host.GetAsync("/admin/v1/organizations?organisation=x")).ExpectProblem(400, "unsupported_parameter");
        Assert.Contains("organisation", answer.Json["detail"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{}""", "missing_parameter", "/name")]
    [InlineData("""{"name":null}""", "missing_parameter", "/name")]
    [InlineData("""{"name":7}""", "invalid_parameter", "/name")]
    [InlineData("""{"name":["a"]}""", "invalid_parameter", "/name")]
    [InlineData("""{"name":""}""", "invalid_parameter", "/name")]
    [InlineData("""{"name":" padded"}""", "invalid_parameter", "/name")]
    [InlineData("""{"name":"line\nbreak"}""", "invalid_parameter", "/name")]
    [InlineData("""{"name":"\ud800"}""", "invalid_parameter", "/name")]
    [InlineData("""{"name":"a","limits":[]}""", "invalid_parameter", "/limits")]
    [InlineData("""{"name":"a","limits":{"frobnicate":1}}""", "unsupported_parameter", "/limits/frobnicate")]
    [InlineData("""{"name":"a","weight":0}""", "invalid_parameter", "/weight")]
    [InlineData("""{"name":"a","weight":0.0099}""", "invalid_parameter", "/weight")]
    [InlineData("""{"name":"a","weight":1000.5}""", "invalid_parameter", "/weight")]
    [InlineData("""{"name":"a","weight":0.1234567}""", "invalid_parameter", "/weight")]
    [InlineData("""{"name":"a","weight":"2"}""", "invalid_parameter", "/weight")]
    [InlineData("""{"name":"a","share_across_organizations":"yes"}""", "invalid_parameter", "/share_across_organizations")]
    [InlineData("""{"name":"a","a/b~c":2}""", "unsupported_parameter", "/a~1b~0c")]
    [InlineData("""{"name":"a","Name":"b"}""", "unsupported_parameter", "/Name")]
    public async Task Create_InvalidField_ReturnsItsPointer(string body, string code, string pointer) =>
        Assert.Equal([pointer], (await Host.PostAsync("/admin/v1/organizations", body)).ExpectProblem(400, code).Pointers);

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("\"text\"")]
    [InlineData("{\"name\":\"a\"} {}")]
    [InlineData("{\"name\":\"a\",}")]
    [InlineData("{\"name\":\"a\",\"name\":\"b\"}")]
    [InlineData("{\"\\ud800\":1,\"name\":\"a\"}")]
    [InlineData("{\"name\":[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]}")]
    public async Task Create_MalformedJsonObject_Returns400(string body)
    {
        var answer = await Host.PostAsync("/admin/v1/organizations", body);
        Assert.Equal(HttpStatusCode.BadRequest, answer.Status);
        Assert.Contains(answer.Code, (string[])["malformed_json", "unsupported_parameter"]);
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("application/json; charset=utf-16")]
    [InlineData("rubbish")]
    [InlineData("")]
    public async Task Create_UnsupportedContentType_Returns415(string type) =>
        (await Host.SendAsync("POST", "/admin/v1/organizations", """{"name":"a"}""", AdminHost.AdminKey, type)).ExpectProblem(415, "unsupported_media_type");

    [Theory]
    [InlineData("application/json; charset=UTF-8")]
    [InlineData("Application/JSON")]
    public async Task Create_JsonContentTypeVariants_AreAccepted(string type) =>
        (await Host.SendAsync("POST", "/admin/v1/organizations", """{"name":"a"}""", AdminHost.AdminKey, type)).Expect(HttpStatusCode.Created);

    [Fact]
    public async Task Create_LargeBody_IsRefused()
    {
        var body = new JsonObject { ["name"] = new string('x', 300_000) }.ToJsonString();
        (await Host.PostAsync("/admin/v1/organizations", body)).ExpectProblem(413, "payload_too_large");
    }

    [Fact]
    public async Task Create_LargeChunkedBody_IsRefused()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/admin/v1/organizations");
        request.Headers.Add("x-api-key", AdminHost.AdminKey);
        request.Headers.TransferEncodingChunked = true;
        request.Content = new StreamContent(new MemoryStream(new byte[300_000]));
        request.Content.Headers.Add("Content-Type", "application/json");
        using var response = await Host.Client.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    [Fact]
    public async Task Create_HundredsOfErrors_ReturnsLimitedErrorList()
    {
        var body = new JsonObject();
        for (var i = 0; i < 2_000; i++) body["field" + i] = i;
        Assert.Equal(50, (await Host.PostAsync("/admin/v1/organizations", body.ToJsonString())).ExpectProblem(400, "unsupported_parameter").Pointers.Length);
    }

    [Fact]
    public async Task Delete_OrganizationWithProjects_Returns409UntilTheyAreDeleted()
    {
        var project = await Host.AddProjectAsync();
        var organization = (await Host.GetAsync("/admin/v1/projects/" + project)).Json["organization_id"]!.GetValue<string>();
        var (key, _) = await Host.AddKeyAsync(project);

        (await Host.DeleteAsync("/admin/v1/organizations/" + organization)).ExpectProblem(409, "conflict");
        (await Host.DeleteAsync("/admin/v1/projects/" + project)).ExpectProblem(409, "conflict");
        (await Host.DeleteAsync("/admin/v1/keys/" + key)).Expect(HttpStatusCode.NoContent);
        (await Host.DeleteAsync("/admin/v1/projects/" + project)).Expect(HttpStatusCode.NoContent);
        (await Host.DeleteAsync("/admin/v1/organizations/" + organization)).Expect(HttpStatusCode.NoContent);
    }

    [Fact]
    public async Task Organizations_WithoutScope_IsRefused()
    {
        var project = await Host.AddProjectAsync();
        var (_, client) = await Host.AddKeyAsync(project);
        var (_, reader) = await Host.AddKeyAsync(project, ""","scopes":["admin:read"]""");
        var (_, writer) = await Host.AddKeyAsync(project, ""","scopes":["admin:write"]""");

        var without = (await Host.SendAsync("GET", "/admin/v1/organizations", null, null)).ExpectProblem(401, "missing_api_key");
        Assert.Equal("Bearer", without.Headers.WwwAuthenticate.First().Scheme);
        (await Host.SendAsync("POST", "/admin/v1/organizations", "{", "rubbish")).ExpectProblem(401, "invalid_api_key");
        (await Host.GetAsync("/admin/v1/organizations", client)).ExpectProblem(403, "insufficient_scope");
        (await Host.GetAsync("/admin/v1/organizations", reader)).Expect(HttpStatusCode.OK);
        (await Host.PostAsync("/admin/v1/organizations", """{"name":"a"}""", reader)).ExpectProblem(403, "insufficient_scope");
        (await Host.PostAsync("/admin/v1/organizations", """{"name":"a"}""", writer)).Expect(HttpStatusCode.Created);
        (await Host.GetAsync("/admin/v1/organizations", writer)).Expect(HttpStatusCode.OK);
    }
}

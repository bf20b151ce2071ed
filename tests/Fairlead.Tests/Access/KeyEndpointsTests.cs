using System.Diagnostics;
using System.Globalization;
using System.Net;
using Fairlead.Access;
using Fairlead.Storage;

namespace Fairlead.Tests.Access;

public sealed class SqliteKeyEndpointsTests() : KeyEndpointsTests(StorageProvider.Sqlite);

public sealed class PostgresKeyEndpointsTests() : KeyEndpointsTests(StorageProvider.Postgres);

public abstract class KeyEndpointsTests : AdminTests
{
    private protected KeyEndpointsTests(StorageProvider provider)
        : base(provider)
    {
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Create_OnlyNameAndProject_UsesDefaults()
    {
        var project = await Host.AddProjectAsync();
        var answer = await Host.PostAsync("/admin/v1/keys", $$"""{"name":"app","project_id":"{{project}}"}""");
        var key = answer.Expect(HttpStatusCode.Created);

        var secret = key["secret"]!.GetValue<string>();
        Assert.True(ApiKeyText.TryParse(secret, out var publicId));
        Assert.Equal("fl_" + publicId.ToString(), key["secrets"]![0]!["prefix"]!.GetValue<string>());
        Assert.Equal("active", key["status"]!.GetValue<string>());
        Assert.Equal(Scopes.Default, key["scopes"]!.AsArray().Select(scope => scope!.GetValue<string>()));
        Assert.Null(key["models"]);
        Assert.Equal(["realtime", "standard", "bulk"], key["classes"]!.AsArray().Select(name => name!.GetValue<string>()));
        Assert.Equal("standard", key["default_class"]!.GetValue<string>());
        Assert.Equal(ApiVersions.Current, key["api_version"]!.GetValue<string>());
        Assert.Equal("all", key["extensions"]!.GetValue<string>());
        Assert.Equal(key["id"]!.GetValue<string>(), await Host.WhoAsync(secret));
        Assert.Equal("/admin/v1/keys/" + key["id"]!.GetValue<string>(), answer.Headers.Location?.ToString());
    }

    [Fact]
    public async Task GetAndList_Keys_NeverReturnSecretsOrHashes()
    {
        var (id, secret) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        var hash = new byte[32];
        ApiKeyText.Hash(secret, hash);
        foreach (var path in (string[])["/admin/v1/keys/" + id, "/admin/v1/keys"])
        {
            var answer = await Host.GetAsync(path);
            answer.Expect(HttpStatusCode.OK);
            Assert.DoesNotContain(secret[20..], answer.Text, StringComparison.Ordinal);
            Assert.DoesNotContain("\"secret\"", answer.Text, StringComparison.Ordinal);
            Assert.DoesNotContain(Convert.ToBase64String(hash), answer.Text, StringComparison.Ordinal);
            Assert.DoesNotContain(Convert.ToHexString(hash), answer.Text, StringComparison.OrdinalIgnoreCase);
        }
        var stored = await EverythingStoredAsync();
        Assert.Contains(id, stored, StringComparison.Ordinal);
        Assert.DoesNotContain(secret[20..], stored, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Create_AllFields_ReturnsStoredValues()
    {
        var project = await Host.AddProjectAsync();
        var key = (await Host.PostAsync("/admin/v1/keys", $$"""
            {"name":"app","project_id":"{{project}}","scopes":["chat","chat","embeddings"],"models":["fast","gpt-x"],"classes":["bulk"],
             "addresses":["192.0.2.7","10.0.0.0/8","2001:DB8::/32","::ffff:198.51.100.1"],"expires_at":"2999-01-31T10:00:00.1239+02:00","api_version":"2026-11-23","extensions":"none","batch_tokens":64,"batch_delay_ms":0}
            """)).Expect(HttpStatusCode.Created);
        Assert.Equal(["chat", "embeddings"], key["scopes"]!.AsArray().Select(item => item!.GetValue<string>()));
        Assert.Equal(["fast", "gpt-x"], key["models"]!.AsArray().Select(item => item!.GetValue<string>()));
        Assert.Equal("bulk", key["default_class"]!.GetValue<string>());
        Assert.Equal(["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32", "198.51.100.1/32"], key["addresses"]!.AsArray().Select(item => item!.GetValue<string>()));
        Assert.Equal("2999-01-31T08:00:00.123Z", key["expires_at"]!.GetValue<string>());
        Assert.Equal("none", key["extensions"]!.GetValue<string>());
        Assert.Equal((64, 0), (key["batch_tokens"]!.GetValue<int>(), key["batch_delay_ms"]!.GetValue<int>()));
        // The caller of this test comes from 127.0.0.1.
        Assert.Equal("address_not_allowed", await Host.WhoAsync(key["secret"]!.GetValue<string>()));
    }

    [Fact]
    public async Task Create_AllFieldsInvalid_ListsEveryError()
    {
        var answer = await Host.PostAsync("/admin/v1/keys", """
            {"project_id":"proj_none","scopes":["chat","root"],"models":[],"classes":["fastest"],"default_class":7,"addresses":["10.0.0.1/8","1","256.1.1.1","::1/129","fe80::1%eth0","010.0.0.1"],
             "expires_at":"2020-01-01T00:00:00Z","api_version":"2020-01-01","extensions":true,"batch_tokens":65,"batch_delay_ms":"1","limits":{"requests_per_minute":0},"frobnicate":1}
            """);
        Assert.Equal(
            ["/frobnicate", "/name", "/scopes/1", "/models", "/addresses/0", "/addresses/1", "/addresses/2", "/addresses/3", "/addresses/4", "/addresses/5", "/classes/0", "/expires_at", "/api_version", "/extensions", "/batch_tokens", "/batch_delay_ms", "/limits/requests_per_minute", "/project_id"],
            answer.ExpectProblem(400, "unsupported_parameter").Pointers);
        Assert.Contains("10.0.0.0/8", answer.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tomorrow")]
    [InlineData("2999-01-31")]
    [InlineData("2999-01-31T10:00:00")]
    [InlineData("2999-13-31T10:00:00Z")]
    [InlineData("2999-01-31T10:00:00+99:00")]
    [InlineData("9999-12-31T23:59:59-10:00")]
    public async Task Create_InvalidExpiry_Returns400(string expiry)
    {
        var project = await Host.AddProjectAsync();
        var answer = await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","expires_at":"{{expiry}}"}""");
        Assert.Equal(["/expires_at"], answer.ExpectProblem(400, "invalid_parameter").Pointers);
    }

    [Fact]
    public async Task Update_KeyFields_TakesEffectImmediately()
    {
        var (id, secret) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        Assert.Equal(id, await Host.WhoAsync(secret));
        (await Host.PatchAsync("/admin/v1/keys/" + id, """{"scopes":["embeddings"]}""")).Expect(HttpStatusCode.OK);
        Assert.Equal("insufficient_scope", await Host.WhoAsync(secret));
        var reset = (await Host.PatchAsync("/admin/v1/keys/" + id, """{"scopes":null,"models":["m"],"name":"renamed"}""")).Expect(HttpStatusCode.OK);
        Assert.Equal(id, await Host.WhoAsync(secret));
        Assert.Equal("renamed", reset["name"]!.GetValue<string>());
        Assert.Equal("m", reset["models"]![0]!.GetValue<string>());
        Assert.Null((await Host.SendAsync("PATCH", "/admin/v1/keys/" + id, """{"models":null}""", AdminHost.AdminKey, "application/merge-patch+json")).Expect(HttpStatusCode.OK)["models"]);
    }

    [Fact]
    public async Task Update_ClassesWithoutDefaultClass_RequiresNewDefault()
    {
        var (id, _) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        Assert.Equal(["/default_class"], (await Host.PatchAsync("/admin/v1/keys/" + id, """{"classes":["bulk"]}""")).ExpectProblem(400, "invalid_parameter").Pointers);
        Assert.Equal("bulk", (await Host.PatchAsync("/admin/v1/keys/" + id, """{"classes":["bulk"],"default_class":"bulk"}""")).Expect(HttpStatusCode.OK)["default_class"]!.GetValue<string>());
        Assert.Equal(["/default_class"], (await Host.PatchAsync("/admin/v1/keys/" + id, """{"default_class":"realtime"}""")).ExpectProblem(400, "invalid_parameter").Pointers);
        Assert.Equal(["/project_id"], (await Host.PatchAsync("/admin/v1/keys/" + id, """{"project_id":"proj_other"}""")).ExpectProblem(400, "unsupported_parameter").Pointers);
    }

    [Fact]
    public async Task Update_SameValues_KeepsUpdatedAt()
    {
        var (id, _) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        var before = (await Host.GetAsync("/admin/v1/keys/" + id)).Json["updated_at"]!.GetValue<string>();
        Assert.Equal(before, (await Host.PatchAsync("/admin/v1/keys/" + id, """{"scopes":null,"name":"k"}""")).Expect(HttpStatusCode.OK)["updated_at"]!.GetValue<string>());
    }

    [Fact]
    public async Task Rotate_WithOverlap_BothSecretsWork()
    {
        var (id, old) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        var rotated = (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", """{"overlap_seconds":3600}""")).Expect(HttpStatusCode.OK);
        var fresh = rotated["secret"]!.GetValue<string>();
        Assert.NotEqual(old, fresh);
        Assert.Equal(id, await Host.WhoAsync(fresh));
        Assert.Equal(id + " retiring", await Host.WhoAsync(old));
        var secrets = rotated["secrets"]!.AsArray();
        Assert.Equal(2, secrets.Count);
        var retires = DateTimeOffset.Parse(secrets[0]!["retires_at"]!.GetValue<string>(), CultureInfo.InvariantCulture);
        var created = DateTimeOffset.Parse(secrets[1]!["created_at"]!.GetValue<string>(), CultureInfo.InvariantCulture);
        Assert.Equal(TimeSpan.FromHours(1), retires - created);
        Assert.Null(secrets[1]!["retires_at"]);
    }

    [Fact]
    public async Task Rotate_WithoutOverlap_ExpiresOldSecretImmediately()
    {
        var (id, old) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        var fresh = (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", """{"overlap_seconds":0}""")).Expect(HttpStatusCode.OK)["secret"]!.GetValue<string>();
        Assert.Equal("key_expired", await Host.WhoAsync(old));
        Assert.Equal(id, await Host.WhoAsync(fresh));
        // A rotation removes a secret that retired before it.
        (await Host.PostAsync($"/admin/v1/keys/{id}/rotate")).Expect(HttpStatusCode.OK);
        Assert.Equal("invalid_api_key", await Host.WhoAsync(old));
        Assert.Equal(id + " retiring", await Host.WhoAsync(fresh));
    }

    [Fact]
    public async Task Rotate_LaterShorterOverlap_ShortensEarlierOverlap()
    {
        var (id, old) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        await Host.PostAsync($"/admin/v1/keys/{id}/rotate", """{"overlap_seconds":3600}""");
        await Host.PostAsync($"/admin/v1/keys/{id}/rotate", """{"overlap_seconds":0}""");
        Assert.Equal("key_expired", await Host.WhoAsync(old));
    }

    [Fact]
    public async Task Rotate_TooManyActiveSecrets_Returns409()
    {
        var (id, _) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        for (var i = 0; i < 9; i++) (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", "{}")).Expect(HttpStatusCode.OK);
        (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", "{}")).ExpectProblem(409, "conflict");
        var ended = (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", """{"overlap_seconds":0}""")).Expect(HttpStatusCode.OK);
        Assert.Equal(id, await Host.WhoAsync(ended["secret"]!.GetValue<string>()));
        Assert.Equal(2, (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", "{}")).Expect(HttpStatusCode.OK)["secrets"]!.AsArray().Count);
    }

    [Theory]
    [InlineData("""{"overlap_seconds":-1}""")]
    [InlineData("""{"overlap_seconds":2592001}""")]
    [InlineData("""{"overlap_seconds":1.5}""")]
    [InlineData("""{"overlap_seconds":"60"}""")]
    [InlineData("""{"overlap_seconds":1e99}""")]
    public async Task Rotate_InvalidOverlap_Returns400(string body)
    {
        var (id, _) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        Assert.Equal(["/overlap_seconds"], (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", body)).ExpectProblem(400, "invalid_parameter").Pointers);
    }

    [Fact]
    public async Task Revoke_Key_IsPermanent()
    {
        var (id, secret) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        var revoked = (await Host.PostAsync($"/admin/v1/keys/{id}/revoke")).Expect(HttpStatusCode.OK);
        Assert.Equal("revoked", revoked["status"]!.GetValue<string>());
        Assert.Equal("key_revoked", await Host.WhoAsync(secret));
        Assert.Equal(revoked["revoked_at"]!.GetValue<string>(), (await Host.PostAsync($"/admin/v1/keys/{id}/revoke", "{}")).Expect(HttpStatusCode.OK)["revoked_at"]!.GetValue<string>());
        (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", "{}")).ExpectProblem(409, "conflict");
        (await Host.PostAsync($"/admin/v1/keys/{id}/revoke", """{"why":"x"}""")).ExpectProblem(400, "unsupported_parameter");
        (await Host.PostAsync("/admin/v1/keys/key_none/revoke")).ExpectProblem(404, "not_found");
        (await Host.DeleteAsync("/admin/v1/keys/" + id)).Expect(HttpStatusCode.NoContent);
        Assert.Equal("invalid_api_key", await Host.WhoAsync(secret));
    }

    [Fact]
    public async Task Operator_ForOwnersAndTheirKeys_CannotEscalatePrivileges()
    {
        var project = await Host.AddProjectAsync();
        var (_, writer) = await Host.AddKeyAsync(project, ""","scopes":["admin:write"]""");
        var (admin, adminSecret) = await Host.AddKeyAsync(project, ""","scopes":["admin:*"]""");
        var (client, _) = await Host.AddKeyAsync(project);

        foreach (var rights in (string[])["\"scopes\":[\"admin:*\"]", "\"scopes\":[\"*\"]", "\"role\":\"owner\""])
        {
            (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}",{{rights}}}""", writer)).ExpectProblem(403, "insufficient_scope");
            (await Host.PatchAsync("/admin/v1/keys/" + client, $$"""{{{rights}}}""", writer)).ExpectProblem(403, "insufficient_scope");
        }
        (await Host.PostAsync($"/admin/v1/keys/{admin}/rotate", "{}", writer)).ExpectProblem(403, "insufficient_scope");
        (await Host.PostAsync($"/admin/v1/keys/{admin}/revoke", "{}", writer)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync("/admin/v1/keys/" + admin, """{"addresses":[]}""", writer)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync("/admin/v1/keys/" + admin, """{"role":null}""", writer)).ExpectProblem(403, "insufficient_scope");
        (await Host.DeleteAsync("/admin/v1/keys/" + admin, writer)).ExpectProblem(403, "insufficient_scope");

        foreach (var role in (string[])["operator", "auditor", "organization_admin"])
            (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","role":"{{role}}"}""", writer)).Expect(HttpStatusCode.Created);
        (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}"}""", writer)).Expect(HttpStatusCode.Created);
        (await Host.PostAsync($"/admin/v1/keys/{client}/rotate", "{}", writer)).Expect(HttpStatusCode.OK);
        (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","scopes":["*"]}""", adminSecret)).Expect(HttpStatusCode.Created);
    }

    [Fact]
    public async Task OrganizationAdmin_ForOtherRolesAndOrganizations_CannotEscalatePrivileges()
    {
        var project = await Host.AddProjectAsync();
        var other = await Host.AddProjectAsync();
        var organization = await OrganizationOfAsync(other);
        var (self, secret) = await Host.AddKeyAsync(project, ",\"role\":\"organization_admin\"");
        var (client, _) = await Host.AddKeyAsync(project);
        var (operatorKey, _) = await Host.AddKeyAsync(project, ",\"role\":\"operator\"");
        // A key in its own organization that administers another one has rights that it lacks.
        var (foreign, _) = await Host.AddKeyAsync(project, $",\"role\":\"organization_admin\",\"organization_id\":\"{organization}\"");

        foreach (var role in (string[])["owner", "operator", "auditor"])
        {
            (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","role":"{{role}}"}""", secret)).ExpectProblem(403, "insufficient_scope");
            foreach (var key in (string[])[self, client])
                (await Host.PatchAsync("/admin/v1/keys/" + key, $$"""{"role":"{{role}}"}""", secret)).ExpectProblem(403, "insufficient_scope");
        }
        Assert.Equal(["/organization_id"], (await Host.PatchAsync("/admin/v1/keys/" + self, $$"""{"organization_id":"{{organization}}"}""", secret)).ExpectProblem(400, "invalid_parameter").Pointers);
        Assert.Equal(["/project_id"], (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{other}}"}""", secret)).ExpectProblem(400, "invalid_parameter").Pointers);
        foreach (var key in (string[])[operatorKey, foreign])
        {
            (await Host.GetAsync("/admin/v1/keys/" + key, secret)).Expect(HttpStatusCode.OK);
            (await Host.PostAsync($"/admin/v1/keys/{key}/rotate", "{}", secret)).ExpectProblem(403, "insufficient_scope");
            (await Host.PostAsync($"/admin/v1/keys/{key}/revoke", "{}", secret)).ExpectProblem(403, "insufficient_scope");
            (await Host.PatchAsync("/admin/v1/keys/" + key, """{"name":"x"}""", secret)).ExpectProblem(403, "insufficient_scope");
            (await Host.DeleteAsync("/admin/v1/keys/" + key, secret)).ExpectProblem(403, "insufficient_scope");
        }
        (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","role":"organization_admin"}""", secret)).Expect(HttpStatusCode.Created);
        (await Host.PostAsync($"/admin/v1/keys/{client}/rotate", "{}", secret)).Expect(HttpStatusCode.OK);
        (await Host.PostAsync($"/admin/v1/keys/{self}/rotate", "{}", secret)).Expect(HttpStatusCode.OK);
    }

    /// <summary>Whoever has rights for a while cannot give them to a key that has them for longer.</summary>
    [Fact]
    public async Task AdministratorThatExpires_ForKeysThatDoNot_IsRefused()
    {
        var project = await Host.AddProjectAsync();
        var (self, secret) = await Host.AddKeyAsync(project, ",\"role\":\"operator\",\"expires_at\":\"2999-01-31T10:00:00Z\"");
        var (lasting, _) = await Host.AddKeyAsync(project, ",\"role\":\"operator\"");
        var (client, _) = await Host.AddKeyAsync(project);
        (await CreateAsync("\"role\":\"auditor\"")).ExpectProblem(403, "insufficient_scope");
        (await CreateAsync("\"role\":\"auditor\",\"expires_at\":\"2999-01-31T10:00:01Z\"")).ExpectProblem(403, "insufficient_scope");
        (await CreateAsync("\"role\":\"auditor\",\"expires_at\":\"2999-01-31T10:00:00Z\"")).Expect(HttpStatusCode.Created);
        (await CreateAsync("\"scopes\":[\"chat\"]")).Expect(HttpStatusCode.Created);
        (await Host.PatchAsync("/admin/v1/keys/" + client, """{"role":"auditor"}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync("/admin/v1/keys/" + self, """{"expires_at":null}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync("/admin/v1/keys/" + self, """{"expires_at":"2999-02-01T00:00:00Z"}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PostAsync($"/admin/v1/keys/{lasting}/rotate", "{}", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync("/admin/v1/keys/" + lasting, """{"name":"renamed"}""", secret)).Expect(HttpStatusCode.OK);
        (await Host.PatchAsync("/admin/v1/keys/" + self, """{"expires_at":"2999-01-01T00:00:00Z"}""", secret)).Expect(HttpStatusCode.OK);
        (await Host.PostAsync($"/admin/v1/keys/{self}/rotate", "{}", secret)).Expect(HttpStatusCode.OK);

        Task<AdminResponse> CreateAsync(string fields) => Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}",{{fields}}}""", secret);
    }

    [Fact]
    public async Task AdministratorOfSomeAddresses_ForKeysOfOthers_IsRefused()
    {
        var project = await Host.AddProjectAsync();
        var (self, secret) = await Host.AddKeyAsync(project, ",\"role\":\"operator\",\"addresses\":[\"127.0.0.0/8\",\"2001:db8::/32\"]");
        foreach (var addresses in (string[])["[]", "[\"10.0.0.1\"]", "[\"127.0.0.1\",\"10.0.0.1\"]", "[\"0.0.0.0/0\"]", "[\"127.0.0.0/7\"]"])
        {
            var made = await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","role":"auditor","addresses":{{addresses}}}""", secret);
            if (made.Status != HttpStatusCode.BadRequest) made.ExpectProblem(403, "insufficient_scope");
        }
        (await Host.PatchAsync("/admin/v1/keys/" + self, """{"addresses":[]}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","role":"auditor","addresses":["127.0.0.1","2001:db8:1::/48"]}""", secret)).Expect(HttpStatusCode.Created);
        (await Host.PatchAsync("/admin/v1/keys/" + self, """{"addresses":["127.0.0.1"]}""", secret)).Expect(HttpStatusCode.OK);
    }

    [Fact]
    public async Task OrganizationAdmin_ForTheLimitsOfItsOrganization_IsRefused()
    {
        var project = await Host.AddProjectAsync();
        var path = "/admin/v1/organizations/" + await OrganizationOfAsync(project);
        var (_, secret) = await Host.AddKeyAsync(project, ",\"role\":\"organization_admin\"");
        (await Host.PatchAsync(path, """{"limits":{"usd_per_month":1000}}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync(path, """{"weight":9}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync(path, """{"share_across_organizations":true}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync(path, """{"share_across_organizations":true}""")).Expect(HttpStatusCode.OK);
        (await Host.PatchAsync(path, """{"share_across_organizations":false}""", secret)).ExpectProblem(403, "insufficient_scope");
        // Audit records may have less content than is set, not more.
        (await Host.PatchAsync(path, """{"audit_content":"hash"}""", secret)).Expect(HttpStatusCode.OK);
        foreach (var looser in (string[])["null", "\"redacted\"", "\"full\""])
            (await Host.PatchAsync(path, $$"""{"audit_content":{{looser}}}""", secret)).ExpectProblem(403, "insufficient_scope");
        (await Host.PatchAsync(path, """{"audit_content":"none"}""", secret)).Expect(HttpStatusCode.OK);
        Assert.Equal("Ours", (await Host.PatchAsync(path, """{"name":"Ours"}""", secret)).Expect(HttpStatusCode.OK)["name"]!.GetValue<string>());
        (await Host.PatchAsync("/admin/v1/projects/" + project, """{"limits":{"usd_per_month":1000}}""", secret)).Expect(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("""{"scopes":["admin:*"]}""", "owner", new[] { "admin:*" })]
    [InlineData("""{"scopes":["*"]}""", "owner", new[] { "*" })]
    [InlineData("""{"scopes":["chat","admin:write"]}""", "operator", new[] { "chat", "admin:write" })]
    [InlineData("""{"scopes":["admin:read","admin:write"]}""", "operator", new[] { "admin:read", "admin:write" })]
    [InlineData("""{"scopes":["admin:read"]}""", "auditor", new[] { "admin:read" })]
    [InlineData("""{"role":"auditor"}""", "auditor", new string[0])]
    [InlineData("""{"role":"auditor","scopes":["chat"]}""", "auditor", new[] { "chat" })]
    [InlineData("""{"role":null,"scopes":["*"]}""", null, new[] { "chat", "embeddings", "batches", "models:read", "usage:read", "webhooks" })]
    [InlineData("""{"role":"auditor","scopes":["*"]}""", "auditor", new[] { "chat", "embeddings", "batches", "models:read", "usage:read", "webhooks" })]
    public async Task Create_ScopesAndRole_GiveRole(string fields, string? role, string[] scopes)
    {
        var project = await Host.AddProjectAsync();
        var (id, secret) = await Host.AddKeyAsync(project, "," + fields[1..^1]);
        var key = (await Host.GetAsync("/admin/v1/keys/" + id)).Expect(HttpStatusCode.OK);
        Assert.Equal(role, key["role"]?.GetValue<string>());
        Assert.Equal(scopes, key["scopes"]!.AsArray().Select(scope => scope!.GetValue<string>()));
        Assert.Equal(role is null ? HttpStatusCode.Forbidden : HttpStatusCode.OK, (await Host.GetAsync("/admin/v1/organizations", secret)).Status);
    }

    [Fact]
    public async Task Change_ScopesOfAdministration_TakeRoleAwayWithThem()
    {
        var project = await Host.AddProjectAsync();
        var (id, _) = await Host.AddKeyAsync(project, ""","scopes":["admin:*"]""");
        Assert.Null((await Host.PatchAsync("/admin/v1/keys/" + id, """{"scopes":["chat"]}""")).Expect(HttpStatusCode.OK)["role"]);
        Assert.Equal("operator", (await Host.PatchAsync("/admin/v1/keys/" + id, """{"role":"operator"}""")).Expect(HttpStatusCode.OK)["role"]!.GetValue<string>());
        Assert.Equal("operator", (await Host.PatchAsync("/admin/v1/keys/" + id, """{"scopes":["embeddings"]}""")).Expect(HttpStatusCode.OK)["role"]!.GetValue<string>());
        Assert.Null((await Host.PatchAsync("/admin/v1/keys/" + id, """{"role":null}""")).Expect(HttpStatusCode.OK)["role"]);
    }

    [Theory]
    [InlineData("""{"role":"root"}""", "/role")]
    [InlineData("""{"role":"auditor","scopes":["admin:*"]}""", "/role")]
    [InlineData("""{"role":"auditor","organization_id":"org_x"}""", "/organization_id")]
    [InlineData("""{"organization_id":"org_x"}""", "/organization_id")]
    [InlineData("""{"role":"organization_admin","organization_id":"org_x"}""", "/organization_id")]
    [InlineData("""{"scopes":[]}""", "/scopes")]
    public async Task Create_InvalidRole_Returns400(string fields, string pointer)
    {
        var project = await Host.AddProjectAsync();
        Assert.Equal([pointer], (await Host.PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}",{{fields[1..^1]}}}""")).ExpectProblem(400, "invalid_parameter").Pointers);
    }

    private async Task<string> OrganizationOfAsync(string project) =>
        (await Host.GetAsync("/admin/v1/projects/" + project)).Json["organization_id"]!.GetValue<string>();

    [Fact]
    public async Task List_ByProjectOrOrganization_ReturnsOnlyTheirKeys()
    {
        var first = await Host.AddProjectAsync();
        var second = await Host.AddProjectAsync();
        var (one, _) = await Host.AddKeyAsync(first);
        var (two, _) = await Host.AddKeyAsync(second);
        var organization = (await Host.GetAsync("/admin/v1/projects/" + second)).Json["organization_id"]!.GetValue<string>();
        Assert.Equal((string[])[one], await IdsAsync("?project_id=" + first));
        Assert.Equal((string[])[two], await IdsAsync("?organization_id=" + organization));
        Assert.Empty(await IdsAsync($"?organization_id={organization}&project_id={first}"));
        Assert.Equal(2, (await IdsAsync("")).Length);

        async Task<string[]> IdsAsync(string query) =>
            [.. (await Host.GetAsync("/admin/v1/keys" + query)).Expect(HttpStatusCode.OK)["data"]!.AsArray().Select(key => key!["id"]!.GetValue<string>())];
    }

    /// <summary>
    /// Runs in real time, because the limit is documented. A busy machine may exceed it once; three times is an error of the gateway.
    /// </summary>
    [Fact]
    public async Task Revoke_ByAnotherProcess_TakesEffectWithinTwoSeconds()
    {
        var project = await Host.AddProjectAsync();
        await using var other = await StartHostAsync();
        var delays = new List<TimeSpan>();
        do
        {
            var (id, secret) = await Host.AddKeyAsync(project);
            while (await other.WhoAsync(secret) != id) await Task.Yield();
            (await Host.PostAsync($"/admin/v1/keys/{id}/revoke")).Expect(HttpStatusCode.OK);
            var revoked = Stopwatch.GetTimestamp();
            while (await other.WhoAsync(secret) != "key_revoked") await Task.Yield();
            delays.Add(Stopwatch.GetElapsedTime(revoked));
        }
        while (delays[^1] >= TimeSpan.FromSeconds(2) && delays.Count < 3);
        Assert.True(delays[^1] < TimeSpan.FromSeconds(2), string.Join(", ", delays));
    }

    /// <summary>Rotations, changes and revocations race with calls: at no moment is a live secret refused.</summary>
    [Fact]
    public async Task Rotate_UnderLoad_NeverRefusesActiveSecret()
    {
        var project = await Host.AddProjectAsync();
        var (id, secret) = await Host.AddKeyAsync(project);
        using var done = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var current = secret;
        var callers = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                var who = await Host.WhoAsync(Volatile.Read(ref current));
                if (who != id && who != id + " retiring") return who;
            }
            return "";
        }, Cancellation)).ToArray();

        for (var i = 0; i < 8; i++)
        {
            var rotated = (await Host.PostAsync($"/admin/v1/keys/{id}/rotate", """{"overlap_seconds":600}""")).Expect(HttpStatusCode.OK);
            Volatile.Write(ref current, rotated["secret"]!.GetValue<string>());
            var (other, _) = await Host.AddKeyAsync(project);
            await Task.WhenAll(Host.PostAsync($"/admin/v1/keys/{other}/revoke"), Host.PatchAsync("/admin/v1/keys/" + id, $$"""{"name":"n{{i}}"}"""));
        }
        await done.CancelAsync();
        Assert.All(await Task.WhenAll(callers), Assert.Empty);
    }
}

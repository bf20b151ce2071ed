using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Administration;

/// <summary>Every endpoint of the admin API, by every role, in an own organization and in another one.</summary>
public sealed class AdminRoleTests(AdminRoleTests.World world) : IClassFixture<AdminRoleTests.World>
{
    private static readonly string[] Roles = ["owner", "operator", "auditor", "organization_admin", "none"];

    /// <summary>What an endpoint is about, which decides who may use it.</summary>
    public enum About
    {
        /// <summary>One thing in an organization, which the path names. Others get 404.</summary>
        OneThing,

        /// <summary>A list or sums, which are filtered.</summary>
        List,

        /// <summary>Something new in an organization that the body names. Others get 400, as for an id that does not exist.</summary>
        NewThing,

        /// <summary>The same, for what cannot be undone: operators may not.</summary>
        NewErasure,

        /// <summary>The whole installation.</summary>
        Installation,

        /// <summary>One thing, in an organization of nobody.</summary>
        ForeignThing,
    }

    /// <summary>One row for each endpoint. A new endpoint needs one here.</summary>
    private static readonly Dictionary<string, Row> Table = new()
    {
        ["GET /admin/v1/organizations"] = new(About.List, w => Task.FromResult(("/organizations", ""))),
        ["POST /admin/v1/organizations"] = new(About.Installation, w => Task.FromResult(("/organizations", """{"name":"New"}"""))),
        ["GET /admin/v1/organizations/{id}"] = new(About.OneThing, w => Task.FromResult(($"/organizations/{w.Organization}", ""))),
        ["PATCH /admin/v1/organizations/{id}"] = new(About.OneThing, w => Task.FromResult(($"/organizations/{w.Organization}", """{"name":"Renamed"}"""))),
        ["DELETE /admin/v1/organizations/{id}"] = new(About.ForeignThing, async w => ($"/organizations/{await w.AddOrganizationAsync()}", "")),
        ["GET /admin/v1/projects"] = new(About.List, w => Task.FromResult(("/projects", ""))),
        ["POST /admin/v1/projects"] = new(About.NewThing, w => Task.FromResult(("/projects", $$"""{"name":"New","organization_id":"{{w.Organization}}"}"""))),
        ["GET /admin/v1/projects/{id}"] = new(About.OneThing, w => Task.FromResult(($"/projects/{w.Project}", ""))),
        ["PATCH /admin/v1/projects/{id}"] = new(About.OneThing, w => Task.FromResult(($"/projects/{w.Project}", """{"name":"Renamed"}"""))),
        ["DELETE /admin/v1/projects/{id}"] = new(About.OneThing, async w => ($"/projects/{await w.AddProjectAsync()}", "")),
        ["GET /admin/v1/keys"] = new(About.List, w => Task.FromResult(("/keys", ""))),
        ["POST /admin/v1/keys"] = new(About.NewThing, w => Task.FromResult(("/keys", $$"""{"name":"New","project_id":"{{w.Project}}"}"""))),
        ["GET /admin/v1/keys/{id}"] = new(About.OneThing, w => Task.FromResult(($"/keys/{w.Key}", ""))),
        ["PATCH /admin/v1/keys/{id}"] = new(About.OneThing, w => Task.FromResult(($"/keys/{w.Key}", """{"name":"Renamed"}"""))),
        ["DELETE /admin/v1/keys/{id}"] = new(About.OneThing, async w => ($"/keys/{await w.AddKeyAsync()}", "")),
        ["POST /admin/v1/keys/{id}/rotate"] = new(About.OneThing, async w => ($"/keys/{await w.AddKeyAsync()}/rotate", "{}")),
        ["POST /admin/v1/keys/{id}/revoke"] = new(About.OneThing, async w => ($"/keys/{await w.AddKeyAsync()}/revoke", "{}")),
        ["GET /admin/v1/webhooks"] = new(About.List, w => Task.FromResult(("/webhooks", ""))),
        ["POST /admin/v1/webhooks"] = new(About.NewThing, w => Task.FromResult(("/webhooks", $$"""{"organization_id":"{{w.Organization}}","url":"https://93.184.216.34/"}"""))),
        ["GET /admin/v1/webhooks/{id}"] = new(About.OneThing, async w => ($"/webhooks/{await w.AddWebhookAsync()}", "")),
        ["PATCH /admin/v1/webhooks/{id}"] = new(About.OneThing, async w => ($"/webhooks/{await w.AddWebhookAsync()}", """{"description":"changed"}""")),
        ["DELETE /admin/v1/webhooks/{id}"] = new(About.OneThing, async w => ($"/webhooks/{await w.AddWebhookAsync()}", "")),
        ["POST /admin/v1/webhooks/{id}/rotate"] = new(About.OneThing, async w => ($"/webhooks/{await w.AddWebhookAsync()}/rotate", "{}")),
        ["POST /admin/v1/webhooks/{id}/test"] = new(About.OneThing, async w => ($"/webhooks/{await w.AddWebhookAsync()}/test", "{}")),
        ["GET /admin/v1/webhooks/deliveries"] = new(About.List, w => Task.FromResult(("/webhooks/deliveries", ""))),
        ["GET /admin/v1/webhooks/deliveries/{id}"] = new(About.OneThing, async w => ($"/webhooks/deliveries/{await w.AddDeliveryAsync()}", "")),
        ["POST /admin/v1/webhooks/deliveries/{id}/redeliver"] = new(About.OneThing, async w => ($"/webhooks/deliveries/{await w.AddDeliveryAsync()}/redeliver", "{}")),
        ["GET /admin/v1/limits"] = new(About.OneThing, w => Task.FromResult(($"/limits?project_id={w.Project}", ""))),
        ["GET /admin/v1/usage"] = new(About.List, w => Task.FromResult(("/usage?group_by=organization,project,key", ""))),
        ["GET /admin/v1/audit"] = new(About.List, w => Task.FromResult(("/audit", ""))),
        ["GET /admin/v1/audit/export"] = new(About.List, w => Task.FromResult(("/audit/export", ""))),
        ["GET /admin/v1/policies"] = new(About.List, w => Task.FromResult(("/policies", ""))),
        ["POST /admin/v1/policies"] = new(About.NewThing, async w => ("/policies", await w.NewPolicyAsync())),
        ["GET /admin/v1/policies/{id}"] = new(About.OneThing, async w => ($"/policies/{await w.AddPolicyAsync()}", "")),
        ["PATCH /admin/v1/policies/{id}"] = new(About.OneThing, async w => ($"/policies/{await w.AddPolicyAsync()}", $$"""{"name":"n{{Guid.NewGuid():N}}"}""")),
        ["DELETE /admin/v1/policies/{id}"] = new(About.OneThing, async w => ($"/policies/{await w.AddPolicyAsync()}", "")),
        ["GET /admin/v1/policies/{id}/versions"] = new(About.OneThing, async w => ($"/policies/{await w.AddPolicyAsync()}/versions", "")),
        ["GET /admin/v1/policies/{id}/versions/{version}"] = new(About.OneThing, async w => ($"/policies/{await w.AddPolicyAsync()}/versions/1", "")),
        ["POST /admin/v1/policies/{id}/try"] = new(About.OneThing, async w => ($"/policies/{await w.AddPolicyAsync()}/try", """{"text":"hello"}""")) { Reads = true },
        ["GET /admin/v1/reconciliation"] = new(About.Installation, w => Task.FromResult(("/reconciliation", ""))),
        ["GET /admin/v1/deployments"] = new(About.Installation, w => Task.FromResult(("/deployments", ""))),
        ["GET /admin/v1/deployments/{id}"] = new(About.Installation, w => Task.FromResult(("/deployments/simulated%2Fsim-echo", ""))),
        ["PATCH /admin/v1/deployments/{id}"] = new(About.Installation, w => Task.FromResult(("/deployments/simulated%2Fsim-echo", """{"state":"active"}"""))),
        ["GET /admin/v1/providers"] = new(About.Installation, w => Task.FromResult(("/providers", ""))),
        ["POST /admin/v1/providers"] = new(About.Installation, w => Task.FromResult(("/providers", NewProvider($"p{Guid.NewGuid():N}")))),
        ["GET /admin/v1/providers/{id}"] = new(About.Installation, async w => ($"/providers/{await w.AddProviderAsync()}", "")),
        ["PATCH /admin/v1/providers/{id}"] = new(About.Installation, async w => ($"/providers/{await w.AddProviderAsync()}", """{"enabled":false}""")),
        ["DELETE /admin/v1/providers/{id}"] = new(About.Installation, async w => ($"/providers/{await w.AddProviderAsync()}", "")),
        ["GET /admin/v1/providers/{id}/keys"] = new(About.Installation, async w => ($"/providers/{await w.AddProviderAsync()}/keys", "")),
        ["POST /admin/v1/providers/{id}/keys"] = new(About.Installation, async w => ($"/providers/{await w.AddProviderAsync()}/keys", """{"name":"k","secret":"abc"}""")),
        ["PATCH /admin/v1/providers/{id}/keys/{key}"] = new(About.Installation, async w => (await w.AddProviderKeyAsync(), """{"enabled":false}""")),
        ["DELETE /admin/v1/providers/{id}/keys/{key}"] = new(About.Installation, async w => (await w.AddProviderKeyAsync(), "")),
        ["POST /admin/v1/providers/{id}/keys/{key}/rotate"] = new(About.Installation, async w => (await w.AddProviderKeyAsync() + "/rotate", """{"secret":"def"}""")),
        ["GET /admin/v1/erasures"] = new(About.List, w => Task.FromResult(("/erasures", ""))),
        ["GET /admin/v1/erasures/{id}"] = new(About.OneThing, async w => ($"/erasures/{await w.AddErasureAsync()}", "")),
        ["POST /admin/v1/erasures"] = new(About.NewErasure, w => Task.FromResult(("/erasures", $$"""{"project_id":"{{w.Project}}","end_user":"nobody"}"""))),
        ["DELETE /admin/v1/cache"] = new(About.OneThing, w => Task.FromResult(($"/cache?project_id={w.Project}", ""))),
    };

    private static string NewProvider(string name) => $$"""{"name":"{{name}}","kind":"openai","base_url":"https://api.example.com/v1"}""";

    public static TheoryData<string> Endpoints => [.. Table.Keys];

    [Fact]
    public void Table_OfRoles_HasEveryEndpoint()
    {
        var mapped = world.Gateway.Services.GetServices<EndpointDataSource>().SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()
            .Where(endpoint => endpoint.RoutePattern.RawText?.StartsWith("/admin/v1", StringComparison.Ordinal) == true)
            .SelectMany(endpoint => (endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? [])
                .Where(method => method != "HEAD").Select(method => $"{method} {endpoint.RoutePattern.RawText}"));
        Assert.Equal(Table.Keys.Order(StringComparer.Ordinal), mapped.Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Endpoints))]
    public async Task Endpoint_ByEveryRole_AdmitsOnlyWhoMayUseIt(string endpoint)
    {
        var row = Table[endpoint];
        var method = endpoint[..endpoint.IndexOf(' ', StringComparison.Ordinal)];
        foreach (var role in Roles)
        {
            foreach (var own in (bool[])[true, false])
            {
                var place = own ? world.Own : world.Other;
                var (path, body) = await row.Request(place);
                var (status, text) = await world.SendAsync(role, method, path, body);
                var expected = Expected(row.About, role, isRead: method == "GET" || row.Reads, own);
                Assert.True(expected is null ? status is >= 200 and < 300 : status == expected, $"{role}, {(own ? "own" : "other")}: {status} {text}");
                if (role == "organization_admin" && status < 300)
                {
                    Assert.DoesNotContain(world.Other.Organization, text, StringComparison.Ordinal);
                    Assert.DoesNotContain(world.Other.Project, text, StringComparison.Ordinal);
                    Assert.DoesNotContain(world.Other.Key, text, StringComparison.Ordinal);
                }
            }
        }
    }

    /// <summary>As if the other organization did not exist: the same response as for an id of nobody.</summary>
    [Theory]
    [InlineData("/projects?organization_id=ORG")]
    [InlineData("/keys?organization_id=ORG")]
    [InlineData("/keys?project_id=PROJ")]
    [InlineData("/webhooks?organization_id=ORG")]
    [InlineData("/webhooks/deliveries?organization_id=ORG")]
    [InlineData("/usage?organization_id=ORG&from=2026-01-01&to=2026-02-01")]
    [InlineData("/usage?project_id=PROJ&from=2026-01-01&to=2026-02-01")]
    [InlineData("/usage?key_id=KEY&from=2026-01-01&to=2026-02-01")]
    [InlineData("/audit?organization_id=ORG")]
    [InlineData("/audit?project_id=PROJ")]
    [InlineData("/audit?key_id=KEY")]
    [InlineData("/limits?organization_id=ORG")]
    [InlineData("/limits?project_id=PROJ")]
    [InlineData("/limits?key_id=KEY")]
    [InlineData("/limits?organization_id=ORG&model=sim-echo")]
    [InlineData("/erasures?organization_id=ORG")]
    [InlineData("/organizations/ORG")]
    [InlineData("/projects/PROJ")]
    [InlineData("/keys/KEY")]
    public async Task Filter_ByOtherOrganization_FindsWhatAnUnknownIdFinds(string path)
    {
        var (status, text) = await world.SendAsync("organization_admin", "GET", Of(world.Other.Organization, world.Other.Project, world.Other.Key), "");
        var (unknownStatus, unknown) = await world.SendAsync("organization_admin", "GET",
            Of("org_01KB0000000000000000000000", "proj_01KB0000000000000000000000", "key_01KB0000000000000000000000"), "");
        Assert.Equal((unknownStatus, Comparable(unknown)), (status, Comparable(text)));
        Assert.True(status is 200 or 404, text);

        string Of(string organization, string project, string key) => path.Replace("ORG", organization, StringComparison.Ordinal)
            .Replace("PROJ", project, StringComparison.Ordinal).Replace("KEY", key, StringComparison.Ordinal);
    }

    /// <summary>Its own records and sums are there: a filter that hides everything would pass the other tests.</summary>
    [Fact]
    public async Task Lists_OfOwnOrganization_HaveItsRows()
    {
        foreach (var path in (string[])["/organizations", "/projects", "/keys", "/usage?group_by=organization", "/audit"])
        {
            var (status, text) = await world.SendAsync("organization_admin", "GET", path, "");
            Assert.Equal(200, status);
            Assert.Contains(path == "/keys" ? world.Own.Key : world.Own.Organization, text, StringComparison.Ordinal);
            Assert.Contains(world.Other.Organization, (await world.SendAsync("auditor", "GET", path == "/keys" ? "/projects" : path, "")).Text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Organization_DeletedByItsAdministrator_IsRefused() =>
        Assert.Equal(403, (await world.SendAsync("organization_admin", "DELETE", "/organizations/" + world.Own.Organization, "")).Status);

    /// <summary>The kept responses of all organizations are not its own.</summary>
    [Fact]
    public async Task Cache_OfAllProjects_IsRefusedForOneOrganization() =>
        Assert.Equal(403, (await world.SendAsync("organization_admin", "DELETE", "/cache", "")).Status);

    private static int? Expected(About about, string role, bool isRead, bool own) => role switch
    {
        "none" => 403,
        "operator" when about == About.NewErasure => 403,
        "owner" or "operator" => null,
        "auditor" => isRead ? null : 403,
        _ => about switch
        {
            About.Installation => 403,
            About.ForeignThing => 404,
            About.OneThing => own ? null : 404,
            About.NewThing or About.NewErasure => own ? null : 400,
            _ => null,
        },
    };

    private static string Comparable(string text)
    {
        var json = JsonDocument.Parse(text).RootElement;
        return json.TryGetProperty("request_id", out _) ? json.GetProperty("code").GetString() + json.GetProperty("detail").GetString() : text;
    }

    private sealed record Row(About About, Func<Place, Task<(string Path, string Body)>> Request)
    {
        /// <summary>Whether it changes nothing although it is no GET.</summary>
        public bool Reads { get; init; }
    }

    /// <summary>An organization with a project, a key that has made a call, and a webhook.</summary>
    public sealed class Place(TestGateway gateway)
    {
        public string Organization { get; private set; } = "";

        public string Project { get; private set; } = "";

        public string Key { get; private set; } = "";

        public async Task PrepareAsync()
        {
            Organization = await AddOrganizationAsync();
            Project = await AddProjectAsync();
            var key = await gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{Project}}"}""");
            Key = key.GetProperty("id").GetString()!;
            using var client = gateway.MakeClient(key.GetProperty("secret").GetString());
            await client.PostForJsonAsync("/v1/chat/completions", """{"model":"sim-echo","messages":[{"role":"user","content":"hello"}]}""");
        }

        public Task<string> AddOrganizationAsync() => AddAsync("organizations", """{"name":"Acme"}""");

        public Task<string> AddProjectAsync() => AddAsync("projects", $$"""{"name":"Search","organization_id":"{{Organization}}"}""");

        public Task<string> AddKeyAsync() => AddAsync("keys", $$"""{"name":"k","project_id":"{{Project}}"}""");

        public async Task<string> AddWebhookAsync()
        {
            // An organization has a maximum of webhooks.
            foreach (var webhook in (await gateway.Admin.GetJsonAsync($"/admin/v1/webhooks?organization_id={Organization}")).GetProperty("data").EnumerateArray())
                (await gateway.Admin.DeleteAsync(new Uri($"/admin/v1/webhooks/{webhook.GetProperty("id").GetString()}", UriKind.Relative))).Dispose();
            return await AddAsync("webhooks", $$"""{"organization_id":"{{Organization}}","url":"https://93.184.216.34/","events":["limit.warning"]}""");
        }

        public async Task<string> AddProviderAsync()
        {
            // There is a maximum of them.
            foreach (var provider in (await gateway.Admin.GetJsonAsync("/admin/v1/providers")).GetProperty("data").EnumerateArray().Where(one => one.GetProperty("source").GetString() == "stored"))
                (await gateway.Admin.DeleteAsync(new Uri($"/admin/v1/providers/{provider.GetProperty("id").GetString()}", UriKind.Relative))).Dispose();
            return await AddAsync("providers", NewProvider($"p{Guid.NewGuid():N}"));
        }

        public async Task<string> AddProviderKeyAsync()
        {
            var provider = await AddProviderAsync();
            return $"/providers/{provider}/keys/{await AddAsync($"providers/{provider}/keys", """{"name":"k","secret":"abc"}""")}";
        }

        public async Task<string> NewPolicyAsync()
        {
            // There is a maximum of them.
            foreach (var policy in (await gateway.Admin.GetJsonAsync($"/admin/v1/policies?organization_id={Organization}")).GetProperty("data").EnumerateArray())
                (await gateway.Admin.DeleteAsync(new Uri($"/admin/v1/policies/{policy.GetProperty("id").GetString()}", UriKind.Relative))).Dispose();
            return $$"""{"name":"p{{Guid.NewGuid():N}}","organization_id":"{{Organization}}","managed_by":"organization","rules":[{"id":"r","type":"words","words":["x"],"action":"flag"}]}""";
        }

        public async Task<string> AddPolicyAsync() => await AddAsync("policies", await NewPolicyAsync());

        public async Task<string> AddDeliveryAsync() => await AddAsync($"webhooks/{await AddWebhookAsync()}/test", "{}");

        public Task<string> AddErasureAsync() => AddAsync("erasures", $$"""{"project_id":"{{Project}}","end_user":"nobody"}""");

        private async Task<string> AddAsync(string path, string body) =>
            (await gateway.Admin.PostForJsonAsync("/admin/v1/" + path, body)).GetProperty("id").GetString()!;
    }

    public sealed class World : IAsyncLifetime
    {
        private readonly Dictionary<string, HttpClient> _clients = [];

        public TestGateway Gateway { get; private set; } = null!;

        public Place Own { get; private set; } = null!;

        public Place Other { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Gateway = await TestGateway.StartAsync();
            await (Own = new Place(Gateway)).PrepareAsync();
            await (Other = new Place(Gateway)).PrepareAsync();
            foreach (var role in Roles)
            {
                var project = role == "organization_admin" ? Own.Project : Gateway.ProjectId;
                var made = await Gateway.Admin.PostForJsonAsync(
                    "/admin/v1/keys", $$"""{"name":"{{role}}","project_id":"{{project}}"{{(role == "none" ? "" : $",\"role\":\"{role}\"")}}}""");
                _clients[role] = Gateway.MakeClient(made.GetProperty("secret").GetString());
            }
        }

        public async Task<(int Status, string Text)> SendAsync(string role, string method, string path, string body)
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), "/admin/v1" + path);
            if (body.Length > 0) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
            using var response = await _clients[role].SendAsync(request, TestContext.Current.CancellationToken);
            return ((int)response.StatusCode, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var client in _clients.Values) client.Dispose();
            await Gateway.DisposeAsync();
        }
    }
}

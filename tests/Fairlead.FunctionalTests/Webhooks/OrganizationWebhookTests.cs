using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Fairlead.Webhooks;

namespace Fairlead.FunctionalTests.Webhooks;

public sealed class SqliteOrganizationWebhookTests() : OrganizationWebhookTests(StorageProvider.Sqlite);

public sealed class PostgresOrganizationWebhookTests() : OrganizationWebhookTests(StorageProvider.Postgres);

/// <summary>Webhooks of organizations over HTTP, and the warnings of budgets that they and the webhooks of projects receive.</summary>
public abstract class OrganizationWebhookTests : IAsyncLifetime
{
    private const string Webhooks = "/admin/v1/webhooks";

    private readonly StorageProvider _store;
    private WebhookReceiver _receiver = null!;
    private TestGateway _gateway = null!;

    private protected OrganizationWebhookTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _receiver = await WebhookReceiver.StartAsync();
        _gateway = await TestGateway.StartAsync(_store, """
            fairlead:
              webhooks: { allowHttp: true, allowedNetworks: [127.0.0.0/8] }
              models:
                echo: { contextWindow: 8000, tokenizer: o200k, prices: { input: 0, output: 10 }, deployments: [{ provider: simulated, model: sim-echo }] }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _receiver.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Webhook_WholeLife_WorksAsThatOfAProject()
    {
        var organization = await OrganizationAsync("{}");
        var made = await _gateway.Admin.PostForJsonAsync(Webhooks, $$"""{"organization_id":"{{organization}}","url":"{{_receiver.Url}}/a","description":"Ops"}""");
        var (id, secret) = (Text(made, "id"), Text(made, "secret"));
        Assert.Equal((organization, "webhook", "enabled", "[\"*\"]"), (Text(made, "organization_id"), Text(made, "object"), Text(made, "status"), made.GetProperty("events").GetRawText()));

        var listed = await _gateway.Admin.GetJsonAsync($"{Webhooks}?organization_id={organization}");
        Assert.Equal(id, Text(Assert.Single(listed.GetProperty("data").EnumerateArray()), "id"));
        Assert.Contains(id, (await _gateway.Admin.GetJsonAsync(Webhooks)).GetRawText(), StringComparison.Ordinal);
        Assert.Empty((await _gateway.Admin.GetJsonAsync($"{Webhooks}?organization_id={_gateway.ProjectId}")).GetProperty("data").EnumerateArray());

        var changed = await _gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"{Webhooks}/{id}", $$"""{"url":"{{_receiver.Url}}/b","events":["limit.warning"],"description":null}""");
        Assert.Equal((_receiver.Url + "/b", "[\"limit.warning\"]"), (Text(changed, "url"), changed.GetProperty("events").GetRawText()));
        var rotated = Text(await _gateway.Admin.PostForJsonAsync($"{Webhooks}/{id}/rotate", "{}"), "secret");
        Assert.NotEqual(secret, rotated);

        var delivery = Text(await _gateway.Admin.PostForJsonAsync($"{Webhooks}/{id}/test", "{}"), "id");
        var seen = await _receiver.NextAsync(Cancel);
        Assert.Equal("/b", seen.Path);
        Assert.Equal(2, seen.Headers["webhook-signature"].Split(' ').Length);
        Assert.Equal(Sign(rotated, seen), seen.Headers["webhook-signature"].Split(' ')[0]);
        Assert.Equal(Sign(secret, seen), seen.Headers["webhook-signature"].Split(' ')[1]);

        Assert.Equal(delivery, Text(Assert.Single((await _gateway.Admin.GetJsonAsync($"{Webhooks}/deliveries?organization_id={organization}&webhook_id={id}")).GetProperty("data").EnumerateArray()), "id"));
        Assert.Equal("webhook.test", Text((await _gateway.Admin.GetJsonAsync($"{Webhooks}/deliveries/{delivery}")).GetProperty("payload"), "type"));
        // A redelivery that is requested during the first attempt is done by it.
        while (Text(await _gateway.Admin.GetJsonAsync($"{Webhooks}/deliveries/{delivery}"), "status") != "delivered")
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancel);
        await _gateway.Admin.PostForJsonAsync($"{Webhooks}/deliveries/{delivery}/redeliver", "{}");
        Assert.Equal(seen.Headers["webhook-id"], (await _receiver.NextAsync(Cancel)).Headers["webhook-id"]);

        foreach (var path in (string[])[$"{Webhooks}/{id}", Webhooks, $"{Webhooks}/deliveries", $"{Webhooks}/deliveries/{delivery}"])
            Assert.DoesNotContain(rotated["whsec_".Length..], (await _gateway.Admin.GetJsonAsync(path)).GetRawText(), StringComparison.Ordinal);
        using (var deleted = await _gateway.Admin.DeleteAsync(new Uri($"{Webhooks}/{id}", UriKind.Relative), Cancel)) Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(_gateway.Admin, HttpMethod.Get, $"{Webhooks}/{id}"));
        Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(_gateway.Admin, HttpMethod.Get, $"{Webhooks}/deliveries/{delivery}"));
    }

    [Fact]
    public async Task Webhook_OfTheOtherKind_IsNotFound()
    {
        var organization = await OrganizationAsync("{}");
        var ofOrganization = Text(await _gateway.Admin.PostForJsonAsync(Webhooks, $$"""{"organization_id":"{{organization}}","url":"https://hooks.invalid/"}"""), "id");
        var ofProject = Text(await _gateway.Client.PostForJsonAsync("/v2/webhooks", """{"url":"https://hooks.invalid/"}"""), "id");
        foreach (var (client, path) in ((HttpClient, string)[])[(_gateway.Admin, $"{Webhooks}/{ofProject}"), (_gateway.Client, $"/v2/webhooks/{ofOrganization}")])
        {
            Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(client, HttpMethod.Get, path));
            Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(client, HttpMethod.Patch, path, """{"status":"disabled"}"""));
            Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(client, HttpMethod.Post, path + "/rotate", "{}"));
            Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(client, HttpMethod.Post, path + "/test", "{}"));
            Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(client, HttpMethod.Delete, path));
        }
        Assert.DoesNotContain(ofProject, (await _gateway.Admin.GetJsonAsync(Webhooks)).GetRawText(), StringComparison.Ordinal);
        Assert.DoesNotContain(ofOrganization, (await _gateway.Client.GetJsonAsync("/v2/webhooks")).GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Webhook_KeyWithoutAdministration_Returns403()
    {
        var body = $$"""{"organization_id":"{{await OrganizationAsync("{}")}}","url":"https://hooks.invalid/"}""";
        Assert.Equal((HttpStatusCode.Forbidden, "insufficient_scope"), await RefusedAsync(_gateway.Client, HttpMethod.Get, Webhooks));
        using var reader = _gateway.MakeClient((await _gateway.MakeKeyAsync("\"scopes\":[\"admin:read\"]")).Secret);
        await reader.GetJsonAsync(Webhooks, HttpStatusCode.OK);
        Assert.Equal((HttpStatusCode.Forbidden, "insufficient_scope"), await RefusedAsync(reader, HttpMethod.Post, Webhooks, body));
    }

    [Theory]
    [InlineData("""{"url":"https://hooks.invalid/"}""", "missing_parameter", "/organization_id")]
    [InlineData("""{"organization_id":"org_none","url":"https://hooks.invalid/"}""", "invalid_parameter", "/organization_id")]
    [InlineData("""{"organization_id":"@"}""", "missing_parameter", "/url")]
    [InlineData("""{"organization_id":"@","url":"https://10.0.0.1/"}""", "invalid_parameter", "/url")]
    [InlineData("""{"organization_id":"@","url":"https://hooks.invalid/","events":["generation.completed"]}""", "invalid_parameter", "/events/0")]
    [InlineData("""{"organization_id":"@","url":"https://hooks.invalid/","project_id":"proj_1"}""", "unsupported_parameter", "/project_id")]
    public async Task Create_InvalidField_Returns400NamingField(string body, string code, string pointer)
    {
        body = body.Replace("@", await OrganizationAsync("{}"), StringComparison.Ordinal);
        using var request = HttpCalls.JsonRequest(HttpMethod.Post, Webhooks, body);
        using var response = await _gateway.Admin.SendAsync(request, Cancel);
        var problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement;
        Assert.Equal((HttpStatusCode.BadRequest, code), (response.StatusCode, Text(problem, "code")));
        Assert.Equal(pointer, Text(problem.GetProperty("errors")[0], "pointer"));
    }

    [Fact]
    public async Task Create_AboveTheMaximum_Returns409()
    {
        var body = $$"""{"organization_id":"{{await OrganizationAsync("{}")}}","url":"https://hooks.invalid/"}""";
        for (var i = 0; i < 20; i++) await _gateway.Admin.PostForJsonAsync(Webhooks, body);
        Assert.Equal((HttpStatusCode.Conflict, "conflict"), await RefusedAsync(_gateway.Admin, HttpMethod.Post, Webhooks, body));
        await _gateway.Admin.PostForJsonAsync(Webhooks, $$"""{"organization_id":"{{await OrganizationAsync("{}")}}","url":"https://hooks.invalid/"}""");
    }

    [Fact]
    public async Task Webhook_DatabaseUnavailable_IsRefusedAndNotChanged()
    {
        var body = $$"""{"organization_id":"{{await OrganizationAsync("{}")}}","url":"https://hooks.invalid/"}""";
        var id = Text(await _gateway.Admin.PostForJsonAsync(Webhooks, body), "id");
        await using (await _gateway.BlockWritesAsync())
        {
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "store_unavailable"), await RefusedAsync(_gateway.Admin, HttpMethod.Post, Webhooks, body));
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "store_unavailable"), await RefusedAsync(_gateway.Admin, HttpMethod.Patch, $"{Webhooks}/{id}", """{"status":"disabled"}"""));
        }
        Assert.Equal((id, "enabled"), Assert.Single((await _gateway.Admin.GetJsonAsync(Webhooks)).GetProperty("data").EnumerateArray().Select(one => (Text(one, "id"), Text(one, "status")))));
    }

    [Fact]
    public async Task Budget_Crossed_WarnsProjectAndOrganizationOncePerThreshold()
    {
        // 100 tokens of output cost 0.001 dollars, and each call has 10.
        var organization = await OrganizationAsync("""{"usd_per_month":0.001}""");
        var project = Text(await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"P","organization_id":"{{organization}}"}"""), "id");
        var key = Text(await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","scopes":["chat","webhooks"]}"""), "secret");
        using var client = _gateway.MakeClient(key);
        var ofProject = Text(await client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}/project","events":["limit.warning"]}"""), "secret");
        var ofOrganization = Text(await _gateway.Admin.PostForJsonAsync(Webhooks, $$"""{"organization_id":"{{organization}}","url":"{{_receiver.Url}}/organization","events":["limit.warning"]}"""), "secret");
        // The receiver of another organization gets nothing.
        await _gateway.Admin.PostForJsonAsync(Webhooks, $$"""{"organization_id":"{{await OrganizationAsync("{}")}}","url":"{{_receiver.Url}}/other"}""");

        var text = string.Concat(Enumerable.Repeat("word ", 30));
        var calls = 0;
        while (true)
        {
            using var response = await client.PostJsonAsync("/v1/chat/completions", $$"""{"model":"echo","max_tokens":10,"messages":[{"role":"user","content":"{{text}}"}]}""");
            if (response.StatusCode == HttpStatusCode.TooManyRequests) break;
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.True(++calls <= 10);
        }
        Assert.Equal(10, calls);

        var seen = new List<ReceivedWebhook>();
        for (var i = 0; i < 8; i++) seen.Add(await _receiver.NextAsync(Cancel));
        foreach (var (path, secret) in ((string, string)[])[("/project", ofProject), ("/organization", ofOrganization)])
        {
            var events = seen.Where(one => one.Path == path).ToList();
            Assert.All(events, one => Assert.Equal(Sign(secret, one), one.Headers["webhook-signature"]));
            var data = events.ConvertAll(one => JsonDocument.Parse(one.Body).RootElement.GetProperty("data"));
            Assert.Equal([50, 80, 95, 100], data.Select(one => one.GetProperty("threshold_percent").GetInt32()).Order());
            Assert.All(data, one => Assert.Equal(("usd_per_month", "organization", organization, 0.001m, "USD"), (Text(one, "name"), Text(one, "scope"), Text(one, "id"), one.GetProperty("limit").GetDecimal(), Text(one, "currency"))));
        }
        // One id for both receivers of one threshold.
        Assert.Equal(4, seen.Select(one => one.Headers["webhook-id"]).Distinct().Count());
        Assert.False(_receiver.HasMore);
    }

    private async Task<string> OrganizationAsync(string limits) =>
        Text(await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", $$"""{"name":"O","limits":{{limits}}}"""), "id");

    private static string Sign(string secret, ReceivedWebhook seen) => new WebhookKey(WebhookSignature.Hmac, Convert.FromBase64String(secret["whsec_".Length..]))
        .Sign(seen.Headers["webhook-id"], long.Parse(seen.Headers["webhook-timestamp"], null), seen.Body);

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;

    private static async Task<(HttpStatusCode Status, string Code)> RefusedAsync(HttpClient client, HttpMethod method, string path, string? body = null)
    {
        using var request = body is null ? new HttpRequestMessage(method, path) : HttpCalls.JsonRequest(method, path, body);
        using var response = await client.SendAsync(request, Cancel);
        return (response.StatusCode, Text(JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement, "code"));
    }
}

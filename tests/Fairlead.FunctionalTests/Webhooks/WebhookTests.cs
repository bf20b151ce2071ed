using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Webhooks;

public sealed class SqliteWebhookTests() : WebhookTests(StorageProvider.Sqlite);

public sealed class PostgresWebhookTests() : WebhookTests(StorageProvider.Postgres);

/// <summary>Webhooks over HTTP, with a receiver on loopback, which this gateway allows.</summary>
public abstract class WebhookTests : IAsyncLifetime
{
    public const string Configuration = "fairlead: { webhooks: { allowHttp: true, allowedNetworks: [127.0.0.0/8] } }\n";

    private WebhookReceiver _receiver = null!;
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected WebhookTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _receiver = await WebhookReceiver.StartAsync();
        _gateway = await TestGateway.StartAsync(_store, Configuration);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _receiver.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Webhook_CreatedAndTested_IsDeliveredAndRecordedInHistory()
    {
        var made = await _gateway.Client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}/hooks","description":"Ops"}""");
        var id = made.GetProperty("id").GetString()!;
        var secret = made.GetProperty("secret").GetString()!;
        Assert.StartsWith("whk_", id, StringComparison.Ordinal);
        Assert.StartsWith("whsec_", secret, StringComparison.Ordinal);
        Assert.Equal("enabled", made.GetProperty("status").GetString());

        var delivery = await _gateway.Client.PostForJsonAsync($"/v2/webhooks/{id}/test", "");
        var seen = await _receiver.NextAsync(Cancel);
        Assert.Equal(delivery.GetProperty("event_id").GetString(), seen.Headers["webhook-id"]);
        var key = new Fairlead.Webhooks.WebhookKey(Fairlead.Webhooks.WebhookSignature.Hmac, Convert.FromBase64String(secret["whsec_".Length..]));
        Assert.Equal(key.Sign(seen.Headers["webhook-id"], long.Parse(seen.Headers["webhook-timestamp"], null), seen.Body), seen.Headers["webhook-signature"]);
        var body = JsonDocument.Parse(seen.Body).RootElement;
        Assert.Equal(("webhook.test", id), (body.GetProperty("type").GetString()!, body.GetProperty("data").GetProperty("id").GetString()!));

        var history = await DeliveredAsync(delivery.GetProperty("id").GetString()!);
        var attempt = Assert.Single(history.GetProperty("history").EnumerateArray());
        Assert.Equal((1, 204), (attempt.GetProperty("number").GetInt32(), attempt.GetProperty("status_code").GetInt32()));
        Assert.Equal(body.GetRawText(), history.GetProperty("payload").GetRawText());

        // The secret was shown that once.
        foreach (var path in (string[])[$"/v2/webhooks/{id}", "/v2/webhooks", "/v2/webhooks/deliveries", "/v2/webhooks/deliveries/" + delivery.GetProperty("id").GetString()])
            Assert.DoesNotContain(secret["whsec_".Length..], (await _gateway.Client.GetJsonAsync(path)).GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Webhook_OfAnotherProject_Returns404()
    {
        var id = (await _gateway.Client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}"}""")).GetProperty("id").GetString()!;
        var delivery = (await _gateway.Client.PostForJsonAsync($"/v2/webhooks/{id}/test", "")).GetProperty("id").GetString()!;
        await _receiver.NextAsync(Cancel);
        var organization = (await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""")).GetProperty("id").GetString();
        var project = (await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization}}"}""")).GetProperty("id").GetString();
        var secret = (await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"o","project_id":"{{project}}","scopes":["webhooks"]}""")).GetProperty("secret").GetString();
        using var other = _gateway.MakeClient(secret);
        foreach (var (method, path, body) in ((HttpMethod, string, string?)[])[
            (HttpMethod.Get, $"/v2/webhooks/{id}", null), (HttpMethod.Patch, $"/v2/webhooks/{id}", """{"status":"disabled"}"""), (HttpMethod.Delete, $"/v2/webhooks/{id}", null),
            (HttpMethod.Post, $"/v2/webhooks/{id}/rotate", null), (HttpMethod.Post, $"/v2/webhooks/{id}/test", null),
            (HttpMethod.Get, $"/v2/webhooks/deliveries/{delivery}", null), (HttpMethod.Post, $"/v2/webhooks/deliveries/{delivery}/redeliver", null)])
        {
            Assert.Equal((HttpStatusCode.NotFound, "not_found"), await RefusedAsync(other, method, path, body));
        }
        using var list = await other.GetAsync(new Uri("/v2/webhooks/deliveries", UriKind.Relative), Cancel);
        Assert.Equal("""{"data":[],"next_cursor":null}""", await list.Content.ReadAsStringAsync(Cancel));
    }

    [Fact]
    public async Task Webhook_KeyWithoutScope_Returns403()
    {
        var (secret, _) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        using var client = _gateway.MakeClient(secret);
        Assert.Equal((HttpStatusCode.Forbidden, "insufficient_scope"), await RefusedAsync(client, HttpMethod.Get, "/v2/webhooks", null));
    }

    [Theory]
    [InlineData("""{"url":"https://10.0.0.1/"}""", "invalid_parameter", "/url")]
    [InlineData("""{"url":"http://169.254.169.254/latest"}""", "invalid_parameter", "/url")]
    [InlineData("""{"url":"http://[::ffff:10.0.0.1]/"}""", "invalid_parameter", "/url")]
    [InlineData("""{"url":"http://2130706433/"}""", "invalid_parameter", "/url")]
    [InlineData("""{"url":"https://user:x@example.com/"}""", "invalid_parameter", "/url")]
    [InlineData("""{"url":"gopher://example.com/"}""", "invalid_parameter", "/url")]
    [InlineData("""{"url":7}""", "invalid_parameter", "/url")]
    [InlineData("{}", "missing_parameter", "/url")]
    [InlineData("""{"url":"https://example.com/","events":["nothing"]}""", "invalid_parameter", "/events/0")]
    [InlineData("""{"url":"https://example.com/","events":[]}""", "invalid_parameter", "/events")]
    [InlineData("""{"url":"https://example.com/","signature":"v2"}""", "invalid_parameter", "/signature")]
    [InlineData("""{"url":"https://example.com/","secret":"whsec_x"}""", "unsupported_parameter", "/secret")]
    public async Task Create_InvalidField_Returns400NamingField(string body, string code, string pointer)
    {
        using var response = await _gateway.Client.PostAsync(new Uri("/v2/webhooks", UriKind.Relative), new StringContent(body, Encoding.UTF8, "application/json"), Cancel);
        var problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement;
        Assert.Equal((HttpStatusCode.BadRequest, code), (response.StatusCode, problem.GetProperty("code").GetString()!));
        Assert.Equal(pointer, problem.GetProperty("errors")[0].GetProperty("pointer").GetString());
    }

    [Fact]
    public async Task Webhook_Disabled_HoldsDeliveriesUntilEnabled()
    {
        var refused = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _receiver.Answer = context =>
        {
            context.Response.StatusCode = 500;
            refused.TrySetResult();
            return Task.CompletedTask;
        };
        var id = (await _gateway.Client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}"}""")).GetProperty("id").GetString()!;
        var delivery = (await _gateway.Client.PostForJsonAsync($"/v2/webhooks/{id}/test", "")).GetProperty("id").GetString()!;
        await refused.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        await _receiver.NextAsync(Cancel);
        Assert.Equal("request", (await _gateway.Client.SendForJsonAsync(HttpMethod.Patch, $"/v2/webhooks/{id}", """{"status":"disabled"}""")).GetProperty("disabled_reason").GetString());
        Assert.Equal((HttpStatusCode.Conflict, "conflict"), await RefusedAsync(_gateway.Client, HttpMethod.Post, $"/v2/webhooks/{id}/test", null));
        Assert.Equal((HttpStatusCode.Conflict, "conflict"), await RefusedAsync(_gateway.Client, HttpMethod.Post, $"/v2/webhooks/deliveries/{delivery}/redeliver", null));

        _receiver.Answer = context => Task.CompletedTask;
        var enabled = await _gateway.Client.SendForJsonAsync(HttpMethod.Patch, $"/v2/webhooks/{id}", """{"status":"enabled"}""");
        Assert.Equal(JsonValueKind.Null, enabled.GetProperty("failing_since").ValueKind);
        await _gateway.Client.PostForJsonAsync($"/v2/webhooks/deliveries/{delivery}/redeliver", "");
        await _receiver.NextAsync(Cancel);
        await DeliveredAsync(delivery);
    }

    [Fact]
    public async Task Create_AboveWebhookLimit_Returns409()
    {
        for (var i = 0; i < 20; i++) await _gateway.Client.PostForJsonAsync("/v2/webhooks", """{"url":"https://hooks.invalid/"}""");
        Assert.Equal((HttpStatusCode.Conflict, "conflict"), await RefusedAsync(_gateway.Client, HttpMethod.Post, "/v2/webhooks", """{"url":"https://hooks.invalid/"}"""));
    }

    private async Task<JsonElement> DeliveredAsync(string id)
    {
        // The receiver gets its response a moment before the history is updated.
        for (var i = 0; ; i++)
        {
            var delivery = await _gateway.Client.GetJsonAsync("/v2/webhooks/deliveries/" + id);
            if (delivery.GetProperty("status").GetString() == "delivered") return delivery;
            Assert.True(i < 600, delivery.GetRawText());
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
    }

    private static async Task<(HttpStatusCode Status, string Code)> RefusedAsync(HttpClient client, HttpMethod method, string path, string? body)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await client.SendAsync(request, Cancel);
        return (response.StatusCode, JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("code").GetString()!);
    }
}

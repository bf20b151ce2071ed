using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace Fairlead.FunctionalTests.Hosting;

/// <summary>A gateway with a proxy to trust, a page to serve, and few models.</summary>
public sealed class EdgeGateway : IAsyncLifetime
{
    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Gateway = await TestGateway.StartAsync("fairlead: { server: { trustedProxies: [127.0.0.1, 10.0.0.0/8], corsOrigins: ['https://app.example', 'http://localhost:5173/'] } }");

    public ValueTask DisposeAsync() => Gateway.DisposeAsync();
}

/// <summary>Checks before a call: wrong addresses and names, proxies, pages of other origins.</summary>
public sealed class EdgeTests(EdgeGateway world) : IClassFixture<EdgeGateway>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("/chat/completions", "/v1/chat/completions")]
    [InlineData("//v1/chat/completions", "/v1/chat/completions")]
    [InlineData("/v1//chat/completions", "/v1/chat/completions")]
    [InlineData("/v1/v1/chat/completions", "/v1/chat/completions")]
    [InlineData("/api/v1/chat/completions/", "/v1/chat/completions")]
    [InlineData("/API/V1/CHAT/COMPLETIONS", "/v1/chat/completions")]
    [InlineData("/openai/deployments/gpt-6/chat/completions", "/v1/chat/completions")]
    [InlineData("/openai/deployments/gpt-6/embeddings?api-version=2026-01-01", "/v1/embeddings")]
    [InlineData("/openai/v1/responses", "/v1/responses")]
    [InlineData("/v1/engines/davinci/completions", "/v1/completions")]
    [InlineData("/my-proxy/v1/models", "/v1/models")]
    [InlineData("/models", "/v1/models")]
    [InlineData("/api/v1/models/vendor/name", "/v1/models/vendor/name")]
    [InlineData("/responses", "/v1/responses")]
    [InlineData("/embeddings", "/v1/embeddings")]
    [InlineData("/files", "/v1/files")]
    [InlineData("/v1/generations", "/v2/generations")]
    [InlineData("/v1/chat/completion", "/v1/chat/completions")]
    [InlineData("/messages", "/v1/messages")]
    [InlineData("/anthropic/v1/messages/count_tokens", "/v1/messages/count_tokens")]
    [InlineData("/v1/keys", "/admin/v1/keys")]
    public async Task Path_WrongPrefix_Returns404WithSuggestion(string path, string right)
    {
        foreach (var method in (HttpMethod[])[HttpMethod.Post, HttpMethod.Get])
        {
            using var request = new HttpRequestMessage(method, new Uri(world.Gateway.Url + path));
            if (method == HttpMethod.Post) request.Content = new StringContent("{}", Encoding.UTF8, "application/json");
            using var response = await world.Gateway.Client.SendAsync(request, Cancel);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
            Assert.Single(response.Headers.GetValues("x-request-id"));
            var body = JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!;
            // In the shape of the interface that was called, else of the one that was meant.
            var (message, code) = body["error"] is not null
                ? (body["error"]!["message"]!.GetValue<string>(), body["error"]!["code"]!.GetValue<string>())
                : (body["detail"]!.GetValue<string>(), body["code"]!.GetValue<string>());
            Assert.EndsWith($"Did you mean {right}?", message, StringComparison.Ordinal);
            Assert.Equal("not_found", code);
            Assert.Equal(right.StartsWith("/v1/messages", StringComparison.Ordinal), body["type"]?.GetValue<string>() == "error");
        }
    }

    [Theory]
    [InlineData("/v1/images/generations", true)]
    [InlineData("/v1/audio/speech", true)]
    [InlineData("/v1/threads", true)]
    [InlineData("/shop/files", false)]
    [InlineData("/foo", false)]
    [InlineData("/favicon.ico", false)]
    public async Task Path_UnlikeAnyEndpoint_ReturnsNoSuggestion(string path, bool ours)
    {
        using var response = await world.Gateway.Client.GetAsync(new Uri(world.Gateway.Url + path), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.DoesNotContain("Did you mean", text, StringComparison.Ordinal);
        Assert.Equal(ours, text.Length > 0);
    }

    [Theory]
    [InlineData("/V1/Chat/Completions/")]
    [InlineData("/v1/chat/completions/")]
    public async Task Path_WrongMethod_Returns405(string path)
    {
        using var response = await world.Gateway.Client.GetAsync(new Uri(world.Gateway.Url + path), Cancel);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.Equal(["POST"], response.Content.Headers.Allow);
    }

    [Theory]
    [InlineData("sim-fats", "sim-fast")]
    [InlineData("SIM-FAST", "sim-fast")]
    [InlineData("vendor/sim-fast", "sim-fast")]
    [InlineData("sim_fast", "sim-fast")]
    [InlineData("sim-reason-2026-01-01", "sim-reason")]
    [InlineData("nothing-like-it", null)]
    public async Task Model_Unknown_SuggestsClosestName(string name, string? nearest)
    {
        using var chat = await ChatAsync(world.Gateway.Client, name);
        using var read = await world.Gateway.Client.GetAsync(new Uri($"/v1/models/{name}", UriKind.Relative), Cancel);
        foreach (var response in (HttpResponseMessage[])[chat, read])
        {
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
            var message = JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!["error"]!["message"]!.GetValue<string>();
            Assert.StartsWith($"The model `{name}` does not exist", message, StringComparison.Ordinal);
            if (nearest is null) Assert.DoesNotContain("Did you mean", message, StringComparison.Ordinal);
            else Assert.EndsWith($"Did you mean `{nearest}`?", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Model_Unknown_SuggestsOnlyModelsAllowedForKey()
    {
        var (secret, _) = await world.Gateway.MakeKeyAsync("\"models\":[\"sim-slow\"]");
        using var client = world.Gateway.MakeClient(secret);
        using var response = await ChatAsync(client, "sim-fats");
        Assert.DoesNotContain("sim-fast", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        using var ofLength = await ChatAsync(client, new string('x', 250));
        Assert.Equal(HttpStatusCode.NotFound, ofLength.StatusCode);
    }

    [Theory]
    [InlineData("/admin/v1/organizations")]
    [InlineData("/v2/webhooks")]
    public async Task UnknownField_EndpointWithoutModel_RemedyDoesNotMentionModel(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent("{\"nonsense\":1}", Encoding.UTF8, "application/json") };
        using var response = await (path[1] == 'a' ? world.Gateway.Admin : world.Gateway.Client).SendAsync(request, Cancel);
        Assert.True((int)response.StatusCode is 400 or 403);
        Assert.DoesNotContain("model", JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!["remedy"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task UploadFile_NotMultipart_Returns415WithRemedy()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/files") { Content = new StringContent("{}", Encoding.UTF8, "application/json") };
        using var response = await world.Gateway.Client.SendAsync(request, Cancel);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Contains("multipart/form-data", JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!["error"]!["remedy"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Theory]
    // The proxy's own word, spoofed ones further left, a chain of trusted proxies.
    [InlineData("203.0.113.7", 200)]
    [InlineData("198.51.100.1, 203.0.113.7", 200)]
    [InlineData("203.0.113.7, 10.1.2.3", 200)]
    [InlineData("203.0.113.7, 198.51.100.1", 403)]
    [InlineData("198.51.100.1", 403)]
    [InlineData(null, 403)]
    public async Task TrustedProxy_ClientAddress_IsTakenFromForwardedFor(string? forwarded, int status)
    {
        var (secret, _) = await world.Gateway.MakeKeyAsync("\"addresses\":[\"203.0.113.7\"]");
        using var client = world.Gateway.MakeClient(secret);
        if (forwarded is not null) client.DefaultRequestHeaders.Add("X-Forwarded-For", forwarded);
        using var response = await client.GetAsync(new Uri("/v1/models", UriKind.Relative), Cancel);
        Assert.Equal(status, (int)response.StatusCode);
    }

    [Theory]
    [InlineData("203.0.113.7", "203.0.113.7")]
    [InlineData("198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7")]
    [InlineData("2001:db8::7", "2001:db8::7")]
    [InlineData(null, "127.0.0.1")]
    public async Task TrustedProxy_AuditRecords_HaveClientAddress(string? forwarded, string address)
    {
        var (secret, id) = await world.Gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        using var client = world.Gateway.MakeClient(secret);
        if (forwarded is not null) client.DefaultRequestHeaders.Add("X-Forwarded-For", forwarded);
        using var chat = await ChatAsync(client, "sim-fast");
        Assert.Equal(HttpStatusCode.OK, chat.StatusCode);
        using var unknown = await ChatAsync(client, "no-such-model");
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        // A key without the scope: refused before anything is read.
        using var scope = await client.PostAsync(new Uri("/v1/embeddings", UriKind.Relative), new StringContent("""{"model":"sim-embed","input":"a"}""", Encoding.UTF8, "application/json"), Cancel);
        Assert.Equal(HttpStatusCode.Forbidden, scope.StatusCode);
        // A job runs without its request.
        using var job = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent("""{"model":"sim-fast","messages":[{"role":"user","content":"Hello"}]}""", Encoding.UTF8, "application/json") };
        job.Headers.Add("Prefer", "respond-async");
        using var accepted = await client.SendAsync(job, Cancel);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        using var done = await client.GetAsync(accepted.Headers.Location!.OriginalString + "?wait=30", Cancel);
        Assert.Equal("completed", JsonNode.Parse(await done.Content.ReadAsStringAsync(Cancel))!["status"]!.GetValue<string>());

        var audit = JsonNode.Parse(await world.Gateway.Admin.GetStringAsync(new Uri($"/admin/v1/audit?key_id={id}", UriKind.Relative), Cancel))!["data"]!.AsArray();
        Assert.Equal(4, audit.Count);
        Assert.All(audit, record => Assert.Equal(address, record!["address"]?.GetValue<string>()));
    }

    [Fact]
    public async Task TrustedProxy_ForwardedSchemeAndHost_AreUsedInLinks()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/nothing");
        request.Headers.Add("X-Forwarded-Proto", "https");
        request.Headers.Add("X-Forwarded-Host", "api.example");
        request.Headers.Add("X-Forwarded-For", "203.0.113.7");
        using var response = await world.Gateway.Client.SendAsync(request, Cancel);
        Assert.StartsWith("https://api.example/docs/errors#", JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!["error"]!["doc_url"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task UntrustedProxy_ForwardedHeaders_AreIgnored()
    {
        await using var gateway = await TestGateway.StartAsync("fairlead: { server: { trustedProxies: [192.0.2.0/24] } }");
        var (secret, _) = await gateway.MakeKeyAsync("\"addresses\":[\"203.0.113.7\"]");
        using var client = gateway.MakeClient(secret);
        client.DefaultRequestHeaders.Add("X-Forwarded-For", "203.0.113.7");
        client.DefaultRequestHeaders.Add("X-Forwarded-Host", "evil.example");
        using var response = await client.GetAsync(new Uri("/v1/models", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
        Assert.DoesNotContain("evil.example", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://app.example", true)]
    [InlineData("http://localhost:5173", true)]
    [InlineData("https://evil.example", false)]
    [InlineData("null", false)]
    public async Task Preflight_Origin_IsAllowedOnlyIfConfigured(string origin, bool allowed)
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions");
        request.Headers.Add("Origin", origin);
        request.Headers.Add("Access-Control-Request-Method", "POST");
        request.Headers.Add("Access-Control-Request-Headers", "authorization, content-type, x-stainless-os");
        using var client = world.Gateway.MakeClient(null);
        using var response = await client.SendAsync(request, Cancel);
        Assert.Equal(allowed ? HttpStatusCode.NoContent : HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.Equal(allowed ? origin : null, Header(response, "Access-Control-Allow-Origin"));
        Assert.Contains("Origin", response.Headers.Vary);
        if (!allowed) return;
        Assert.Contains("POST", Header(response, "Access-Control-Allow-Methods"), StringComparison.Ordinal);
        Assert.Contains("x-stainless-os", Header(response, "Access-Control-Allow-Headers"), StringComparison.Ordinal);
        Assert.Null(Header(response, "Access-Control-Allow-Credentials"));
    }

    [Theory]
    [InlineData("sim-fast", 200)]
    [InlineData("no-such-model", 404)]
    public async Task CrossOriginCall_SuccessOrError_ExposesHeaders(string model, int status)
    {
        using var client = world.Gateway.MakeClient(world.Gateway.Key);
        client.DefaultRequestHeaders.Add("Origin", "https://app.example");
        using var response = await ChatAsync(client, model);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("https://app.example", Header(response, "Access-Control-Allow-Origin"));
        var exposed = Header(response, "Access-Control-Expose-Headers");
        // Whatever of ours the response has can be read by the page.
        foreach (var name in response.Headers.Select(header => header.Key).Where(name => name.StartsWith("Fairlead-", StringComparison.OrdinalIgnoreCase) || name is "x-request-id" or "Server-Timing" or "Api-Version" or "Retry-After"))
        {
            Assert.Contains(name, exposed, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task CrossOriginCall_CorsNotConfigured_GetsNoAllowOriginHeader()
    {
        await using var gateway = await TestGateway.StartAsync();
        gateway.Client.DefaultRequestHeaders.Add("Origin", "https://app.example");
        using var response = await gateway.Client.GetAsync(new Uri("/v1/models", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Null(Header(response, "Access-Control-Allow-Origin"));
        Assert.DoesNotContain("Origin", response.Headers.Vary);
    }

    [Fact]
    public async Task ApplicationCaller_IdentifiedByApp_NeedsNoKeyAndSeesOnlyOwnData()
    {
        await using var gateway = await TestGateway.StartAsync(null, (_, fairlead) => fairlead.UseApplicationCallers(context =>
            context.Request.Headers["X-User"] is [{ } user] ? new ApplicationCaller(user) { Scopes = user == "reader" ? [Scopes.Models] : Scopes.Default } : null));
        using var ann = gateway.MakeClient(null);
        ann.DefaultRequestHeaders.Add("X-User", "ann");
        using var chat = await ChatAsync(ann, "sim-fast");
        Assert.Equal(HttpStatusCode.OK, chat.StatusCode);

        using var reader = gateway.MakeClient(null);
        reader.DefaultRequestHeaders.Add("X-User", "reader");
        using var refused = await ChatAsync(reader, "sim-fast");
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        using var nobody = await ChatAsync(gateway.MakeClient(null), "sim-fast");
        Assert.Equal(HttpStatusCode.Unauthorized, nobody.StatusCode);
        using var key = await ChatAsync(gateway.Client, "sim-fast");
        Assert.Equal(HttpStatusCode.OK, key.StatusCode);

        // A job runs without its request, under its caller.
        using var job = new HttpRequestMessage(HttpMethod.Post, "/v2/generations") { Content = new StringContent("""{"model":"sim-fast","input":"Hello"}""", Encoding.UTF8, "application/json") };
        job.Headers.Add("Prefer", "respond-async");
        using var accepted = await ann.SendAsync(job, Cancel);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var id = JsonNode.Parse(await accepted.Content.ReadAsStringAsync(Cancel))!["id"]!.GetValue<string>();
        using var done = await ann.GetAsync(new Uri($"/v2/generations/{id}?wait=20", UriKind.Relative), Cancel);
        Assert.Equal("completed", JsonNode.Parse(await done.Content.ReadAsStringAsync(Cancel))!["status"]!.GetValue<string>());
        using var bob = gateway.MakeClient(null);
        bob.DefaultRequestHeaders.Add("X-User", "bob");
        using var hidden = await bob.GetAsync(new Uri($"/v2/generations/{id}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, hidden.StatusCode);
    }

    private static string? Header(HttpResponseMessage response, string name) => response.Headers.TryGetValues(name, out var values) ? string.Join(", ", values) : null;

    private static async Task<HttpResponseMessage> ChatAsync(HttpClient client, string model)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = new StringContent(JsonSerializer.Serialize(new { model, messages = new[] { new { role = "user", content = "Hello" } } }), new MediaTypeHeaderValue("application/json")),
        };
        return await client.SendAsync(request, Cancel);
    }
}

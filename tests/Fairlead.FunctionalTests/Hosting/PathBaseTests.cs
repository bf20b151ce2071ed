using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Errors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Hosting;

/// <summary>The library under a path of the program's choosing (<c>UsePathBase</c>), and what a caller may name itself.</summary>
public sealed class PathBaseTests : IAsyncLifetime
{
    private readonly CapturedLog _log = new();
    private TestGateway _gateway = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(null, (builder, _) =>
    {
        builder.Logging.AddProvider(_log);
        builder.Services.AddTransient<IStartupFilter, UnderAi>();
    });

    public ValueTask DisposeAsync() => _gateway.DisposeAsync();

    [Fact]
    public async Task Location_JobUnderPathBase_PointsToJob()
    {
        using var request = Chat("/ai/v1/chat/completions");
        request.Headers.Add("Prefer", "respond-async");
        using var accepted = await _gateway.Client.SendAsync(request, Token);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var location = accepted.Headers.Location!.OriginalString;
        Assert.StartsWith("/ai/v2/generations/gen_", location, StringComparison.Ordinal);
        using var polled = await _gateway.Client.GetAsync(location + "?wait=30", Token);
        Assert.Equal(HttpStatusCode.OK, polled.StatusCode);
        Assert.Equal("completed", JsonNode.Parse(await polled.Content.ReadAsStringAsync(Token))!["status"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("/ai/admin/v1/organizations", """{"name":"x"}""", "/ai/admin/v1/organizations/org_")]
    [InlineData("/ai/admin/v1/projects", """{"name":"x","organization_id":"ORGANIZATION"}""", "/ai/admin/v1/projects/proj_")]
    [InlineData("/ai/admin/v1/keys", """{"name":"x","project_id":"PROJECT"}""", "/ai/admin/v1/keys/key_")]
    public async Task Location_CreatedAdminResource_PointsToResource(string path, string body, string location)
    {
        var organization = (await _gateway.Admin.PostForJsonAsync("/ai/admin/v1/organizations", """{"name":"y"}""")).GetProperty("id").GetString();
        using var content = new StringContent(body.Replace("ORGANIZATION", organization, StringComparison.Ordinal).Replace("PROJECT", _gateway.ProjectId, StringComparison.Ordinal), System.Text.Encoding.UTF8, "application/json");
        using var made = await _gateway.Admin.PostAsync(path, content, Token);
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        Assert.StartsWith(location, made.Headers.Location!.OriginalString, StringComparison.Ordinal);
        using var read = await _gateway.Admin.GetAsync(made.Headers.Location, Token);
        Assert.Equal(HttpStatusCode.OK, read.StatusCode);
    }

    [Theory]
    [InlineData("/ai/v1/nothing", "error")]
    [InlineData("/ai/v1/messages/nothing", "error")]
    [InlineData("/ai/v1/Messages/nothing", "error")]
    [InlineData("/ai/v2/nothing", "type")]
    public async Task Error_UnderPathBase_HasDialectShapeAndWorkingDocUrl(string path, string member)
    {
        using var response = await _gateway.Client.GetAsync(path, Token);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.NotEmpty(response.Headers.GetValues("x-request-id"));
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token)).RootElement;
        Assert.True(error.TryGetProperty(member, out var value));
        // Anthropic's envelope says what it is.
        Assert.Equal(path.Contains("essages", StringComparison.Ordinal), error.TryGetProperty("type", out var type) && type.GetString() == "error");
        var link = member == "type" ? value.GetString() : value.GetProperty("doc_url").GetString();
        Assert.StartsWith(_gateway.Url + "/ai/docs/errors#", link, StringComparison.Ordinal);
        using var page = await _gateway.Client.GetAsync(link, Token);
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
    }

    [Theory]
    [InlineData("/ai/chat/completions", "/ai/v1/chat/completions")]
    [InlineData("/ai/openai/deployments/gpt-6/chat/completions", "/ai/v1/chat/completions")]
    [InlineData("/ai/v1/v1/models", "/ai/v1/models")]
    [InlineData("/ai/messages", "/ai/v1/messages")]
    [InlineData("/chat/completions", "/v1/chat/completions")]
    public async Task Path_WrongPrefixUnderPathBase_SuggestsCorrectPath(string path, string right)
    {
        using var response = await _gateway.Client.PostAsync(path, new StringContent("{}", System.Text.Encoding.UTF8, "application/json"), Token);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        var error = JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!["error"]!;
        Assert.Equal($"There is nothing at POST {path}. Did you mean {right}?", error["message"]!.GetValue<string>());
        var sdk = _gateway.Url + (right.StartsWith("/ai", StringComparison.Ordinal) ? "/ai" : "") + (right.Contains("messages", StringComparison.Ordinal) ? "" : "/v1");
        Assert.EndsWith($"an SDK needs {sdk} as its base address.", error["remedy"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/ai/foo")]
    [InlineData("/ai/shop/files")]
    public async Task Path_UnlikeAnyEndpointUnderPathBase_IsLeftToApp(string path)
    {
        using var response = await _gateway.Client.GetAsync(path, Token);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Empty(await response.Content.ReadAsByteArrayAsync(Token));
    }

    [Fact]
    public async Task Preflight_UnderPathBase_IsAllowed()
    {
        await using var gateway = await TestGateway.StartAsync("fairlead: { server: { corsOrigins: ['https://app.example'] } }", (builder, _) => builder.Services.AddTransient<IStartupFilter, UnderAi>());
        using var request = new HttpRequestMessage(HttpMethod.Options, "/ai/v1/chat/completions");
        request.Headers.Add("Origin", "https://app.example");
        request.Headers.Add("Access-Control-Request-Method", "POST");
        using var client = gateway.MakeClient(null);
        using var response = await client.SendAsync(request, Token);
        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
        Assert.Equal("https://app.example", response.Headers.GetValues("Access-Control-Allow-Origin").Single());
        Assert.Equal("Origin", string.Join(", ", response.Headers.Vary));
    }

    [Fact]
    public async Task Endpoint_ThrowsUnderPathBase_ReturnsInternalError()
    {
        await using var gateway = await TestGateway.StartAsync(null, (builder, fairlead) =>
        {
            builder.Services.AddTransient<IStartupFilter, UnderAi>();
            fairlead.UseApplicationCallers(context => context.Request.PathBase.HasValue ? throw new InvalidOperationException("a defect of the app") : null);
        });
        using var response = await gateway.Client.SendAsync(Chat("/ai/v1/chat/completions"), Token);
        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        Assert.Equal("internal_error", JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!["error"]!["code"]!.GetValue<string>());
    }

    [Fact]
    public async Task ClientRequestId_Valid_IsLoggedWithGatewayId()
    {
        using var request = Chat("/v1/chat/completions");
        request.Headers.Add("X-Client-Request-Id", "order 66/a");
        using var response = await _gateway.Client.SendAsync(request, Token);
        var id = response.Headers.GetValues("x-request-id").Single();
        Assert.Contains(_log.Lines, line => line.Contains($"Call {id} has the client request id order 66/a", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("")]
    [InlineData("two\tparts")]
    [InlineData("x513")]
    public async Task ClientRequestId_UnsafeForLog_IsOmitted(string given)
    {
        using var request = Chat("/v1/chat/completions");
        request.Headers.TryAddWithoutValidation("X-Client-Request-Id", given == "x513" ? new string('x', 513) : given);
        using var response = await _gateway.Client.SendAsync(request, Token);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.DoesNotContain(_log.Lines, line => line.Contains("has the client request id", StringComparison.Ordinal));
    }

    private static HttpRequestMessage Chat(string path) => new(HttpMethod.Post, path)
    {
        Content = new StringContent("""{"model":"sim-echo","messages":[{"role":"user","content":"hi"}]}""", System.Text.Encoding.UTF8, "application/json"),
    };

    private sealed class UnderAi : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.UsePathBase("/ai");
            next(app);
        };
    }
}

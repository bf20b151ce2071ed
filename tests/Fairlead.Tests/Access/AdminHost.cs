using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.Tests.Access;

/// <summary>The admin API on a real Kestrel, with an endpoint (<c>/whoami</c>) for any key with the scope <c>chat</c>.</summary>
internal sealed class AdminHost : IAsyncDisposable
{
    public const string AdminKey = "the-admin-key-of-these-tests";

    private readonly WebApplication _app;

    private AdminHost(WebApplication app, HttpClient client)
    {
        _app = app;
        Client = client;
    }

    public HttpClient Client { get; }

    public IServiceProvider Services => _app.Services;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <param name="configuration">Where its store is.</param>
    /// <param name="holdsFolder">False for one that works beside the server on the same data folder, as the commands do.</param>
    public static async Task<AdminHost> StartAsync(FixedConfiguration configuration, bool holdsFolder = true)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Configuration.AddInMemoryCollection([new(Fairlead.Access.AdminKey.Variable, AdminKey)]);
        builder.Services.AddSingleton<Fairlead.Configuration.IConfigurationSource>(configuration);
        builder.Services.AddStorage().AddCallers().AddEndpoints().AddAdmin();
        builder.Services.AddSingleton<IAdminAudit, IgnoredAudit>();
        if (!holdsFolder) builder.Services.Remove(builder.Services.Single(service => service.ImplementationType == typeof(DataFolderGuard)));
        var app = builder.Build();
        app.MapAdmin();
        app.MapGet("/whoami", (RequestDelegate)(async context =>
        {
            var (caller, error) = await context.RequestServices.GetRequiredService<ICallerSource>().AuthenticateAsync(context, Scopes.Chat);
            if (error is not null) await ErrorResponses.WriteAsync(context, error, ErrorShape.OpenAi);
            else await context.Response.WriteAsync(caller!.KeyId + (caller.SecretRetiresAt is null ? "" : " retiring"), context.RequestAborted);
        }));
        await app.StartAsync(Cancellation);
        return new AdminHost(app, new HttpClient { BaseAddress = new Uri(app.Urls.First()) });
    }

    public Task<AdminResponse> GetAsync(string path, string key = AdminKey) => SendAsync("GET", path, null, key);

    public Task<AdminResponse> PostAsync(string path, string? json = null, string key = AdminKey) => SendAsync("POST", path, json, key);

    public Task<AdminResponse> PatchAsync(string path, string json, string key = AdminKey) => SendAsync("PATCH", path, json, key);

    public Task<AdminResponse> DeleteAsync(string path, string key = AdminKey) => SendAsync("DELETE", path, null, key);

    public async Task<AdminResponse> SendAsync(string method, string path, string? json, string? key, string contentType = "application/json")
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (key is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        if (json is not null)
        {
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(json));
            if (contentType.Length > 0) request.Content.Headers.TryAddWithoutValidation("Content-Type", contentType);
        }
        using var response = await Client.SendAsync(request, Cancellation);
        var text = await response.Content.ReadAsStringAsync(Cancellation);
        return new AdminResponse(response.StatusCode, response.Content.Headers.ContentType?.MediaType, text, response.Headers);
    }

    public async Task<string> WhoAsync(string key)
    {
        var answer = await SendAsync("GET", "/whoami", null, key);
        return answer.Status == HttpStatusCode.OK ? answer.Text : answer.Json["error"]!["code"]!.GetValue<string>();
    }

    /// <summary>An organization with a project; returns the project's id.</summary>
    public async Task<string> AddProjectAsync(string name = "Search")
    {
        var organization = (await PostAsync("/admin/v1/organizations", """{"name":"Acme"}""")).Expect(HttpStatusCode.Created)["id"]!.GetValue<string>();
        return (await PostAsync("/admin/v1/projects", $$"""{"name":"{{name}}","organization_id":"{{organization}}"}""")).Expect(HttpStatusCode.Created)["id"]!.GetValue<string>();
    }

    /// <summary>Creates a key. <paramref name="fields"/> starts with a comma.</summary>
    public async Task<(string Id, string Secret)> AddKeyAsync(string project, string fields = "")
    {
        var key = (await PostAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}"{{fields}}}""")).Expect(HttpStatusCode.Created);
        return (key["id"]!.GetValue<string>(), key["secret"]!.GetValue<string>());
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }
}

internal sealed record AdminResponse(HttpStatusCode Status, string? MediaType, string Text, HttpResponseHeaders Headers)
{
    public JsonNode Json => JsonNode.Parse(Text)!;

    public string Code => Json["code"]!.GetValue<string>();

    /// <summary>The JSON Pointers of the errors, in order.</summary>
    public string[] Pointers => [.. Json["errors"]!.AsArray().Select(fault => fault!["pointer"]!.GetValue<string>())];

    public JsonNode Expect(HttpStatusCode status)
    {
        Assert.True(status == Status, $"{(int)Status}: {Text}");
        return Text.Length == 0 ? new JsonObject() : Json;
    }

    /// <summary>A complete problem document of this status and code.</summary>
    public AdminResponse ExpectProblem(int status, string code)
    {
        Assert.True(status == (int)Status && MediaType == "application/problem+json" && Code == code, $"{(int)Status} {MediaType}: {Text}");
        Assert.Equal(status, Json["status"]!.GetValue<int>());
        Assert.StartsWith("req_", Json["request_id"]!.GetValue<string>(), StringComparison.Ordinal);
        return this;
    }
}

using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.FunctionalTests.Common;
using Fairlead.Providers;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Administration;

/// <summary>Providers that are created over the admin API, and called.</summary>
public sealed class StoredProviderTests : IAsyncLifetime
{
    private const string Secret = "sk-secret-of-the-first-key-4711";
    private const string OtherSecret = "sk-secret-of-another-key-4712";

    private const string Settings = """
        fairlead:
          providers:
            fixed: { kind: openai, baseUrl: "http://127.0.0.1:9/v1" }
          storedProviders: { allowedNetworks: [127.0.0.1/32], allowHttp: true }
          retry: { maxRetries: 0 }
        """;

    private readonly HashSet<string> _rejected = [];
    private FakeUpstream _upstream = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync(context =>
        _rejected.Contains(context.Request.Headers.Authorization.ToString()["Bearer ".Length..])
            ? FakeUpstream.Json(context, """{"error":{"message":"bad key","code":"invalid_api_key"}}""", 401)
            : FakeUpstream.Json(context, FakeUpstream.Completion("hello")));

    public ValueTask DisposeAsync() => _upstream.DisposeAsync();

    [Theory]
    [InlineData(StorageProvider.Sqlite)]
    [InlineData(StorageProvider.Postgres)]
    internal async Task Provider_CreatedWithKey_ServesItsModelsAtOnce(StorageProvider store)
    {
        await using var gateway = await TestGateway.StartAsync(store, Settings);
        var provider = await gateway.Admin.PostForJsonAsync("/admin/v1/providers", Body());
        Assert.Equal(("local", "stored", 0), (provider.GetProperty("id").GetString(), provider.GetProperty("source").GetString(), provider.GetProperty("keys").GetInt32()));
        var key = await AddKeyAsync(gateway, Secret);
        Assert.Equal("hello", await ChatAsync(gateway));
        Assert.Equal("Bearer " + Secret, _upstream.Headers.Last()["Authorization"]);

        // A new secret is in force with the response.
        await gateway.Admin.PostForJsonAsync($"/admin/v1/providers/local/keys/{key}/rotate", $$"""{"secret":"{{OtherSecret}}"}""");
        await ChatAsync(gateway);
        Assert.Equal("Bearer " + OtherSecret, _upstream.Headers.Last()["Authorization"]);

        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/providers/local", """{"enabled":false}""");
        await ChatAsync(gateway, HttpStatusCode.NotFound);
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/providers/local", """{"enabled":true}""");
        await ChatAsync(gateway);
        using var deleted = await gateway.Admin.DeleteAsync(new Uri("/admin/v1/providers/local", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        await ChatAsync(gateway, HttpStatusCode.NotFound);
    }

    /// <summary>One of two keys is rejected: calls go on with the other, and the list shows which one it is.</summary>
    [Fact]
    public async Task Keys_SeveralWithOneRejected_AreUsedInTurnAndShowTheirState()
    {
        await using var gateway = await TestGateway.StartAsync(Settings);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers", Body());
        var first = await AddKeyAsync(gateway, Secret);
        var second = await AddKeyAsync(gateway, OtherSecret);
        for (var i = 0; i < 4; i++) await ChatAsync(gateway);
        Assert.Equal(2, _upstream.Headers.Select(headers => headers["Authorization"]).Distinct().Count());

        _rejected.Add(Secret);
        for (var i = 0; i < 4; i++) await ChatAsync(gateway);
        var keys = (await gateway.Admin.GetJsonAsync("/admin/v1/providers/local/keys")).GetProperty("data").EnumerateArray().ToDictionary(key => key.GetProperty("id").GetString()!, key => key.GetProperty("state").GetString());
        Assert.Equal(("rejected", "usable"), (keys[first], keys[second]));

        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/providers/local/keys/{first}", """{"enabled":false,"name":"old"}""");
        using var deleted = await gateway.Admin.DeleteAsync(new Uri($"/admin/v1/providers/local/keys/{first}", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        Assert.Single((await gateway.Admin.GetJsonAsync("/admin/v1/providers/local/keys")).GetProperty("data").EnumerateArray());
    }

    /// <summary>No response has a secret, and no file of the database.</summary>
    [Fact]
    public async Task Secret_AfterCreation_IsNowhereInClearText()
    {
        await using var gateway = await TestGateway.StartAsync(Settings);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers", Body());
        var key = await AddKeyAsync(gateway, Secret);
        await ChatAsync(gateway);
        var shown = new StringBuilder();
        foreach (var path in (string[])["/admin/v1/providers", "/admin/v1/providers/local", "/admin/v1/providers/local/keys", "/admin/v1/deployments", "/admin/v1/audit"])
            shown.Append(await gateway.Admin.GetStringAsync(new Uri(path, UriKind.Relative), Token));
        shown.Append((await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/providers/local/keys/{key}", """{"name":"renamed"}""")).GetRawText());
        Assert.DoesNotContain(Secret, shown.ToString(), StringComparison.Ordinal);

        SqliteConnection.ClearAllPools();
        var stored = new StringBuilder();
        foreach (var file in Directory.GetFiles(gateway.DataDirectory, "fairlead.db*"))
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(stream, Encoding.Latin1);
            stored.Append(await reader.ReadToEndAsync(Token));
        }
        Assert.Contains("local", stored.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, stored.ToString(), StringComparison.Ordinal);
    }

    /// <summary>Runs in real time, because the limit is documented.</summary>
    [Fact]
    public async Task Change_OnAnotherNode_IsInForceWithinTwoSeconds()
    {
        var database = TestPostgres.CreateDatabase();
        try
        {
            await using var first = await TestGateway.StartOnAsync(database, Settings);
            await using var second = await TestGateway.StartOnAsync(database, Settings);
            await first.Admin.PostForJsonAsync("/admin/v1/providers", Body());
            await AddKeyAsync(first, Secret);
            var started = Stopwatch.GetTimestamp();
            while (true)
            {
                using var response = await second.Client.PostJsonAsync("/v1/chat/completions", Chat);
                if (response.StatusCode == HttpStatusCode.OK && _upstream.Headers.Last()["Authorization"] == "Bearer " + Secret) break;
                Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(6), "The other node does not know the provider.");
                await Task.Yield();
            }
            // Twice the documented time: both nodes and the database share this machine with other tests.
            Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(4));
        }
        finally
        {
            TestPostgres.DropDatabase(database);
        }
    }

    [Theory]
    [InlineData("""{"name":"x","kind":"openai","base_url":"http://10.0.0.1/v1"}""", "/base_url")]
    [InlineData("""{"name":"x","kind":"openai","base_url":"http://169.254.169.254/v1"}""", "/base_url")]
    [InlineData("""{"name":"x","kind":"openai","base_url":"http://2130706433/v1"}""", "/base_url")]
    [InlineData("""{"name":"x","kind":"openai","base_url":"https://user:pass@example.com/v1"}""", "/base_url")]
    [InlineData("""{"name":"x","kind":"openai","base_url":"file:///etc/passwd"}""", "/base_url")]
    [InlineData("""{"name":"x","kind":"openai","base_url":"https://example.com/v1?a=b"}""", "/base_url")]
    [InlineData("""{"name":"x","kind":"azure"}""", "/base_url")]
    [InlineData("""{"name":"x","kind":"nonsense"}""", "/kind")]
    [InlineData("""{"name":"X y","kind":"openai","base_url":"https://example.com/v1"}""", "/name")]
    [InlineData("""{"name":"x","kind":"openai","base_url":"https://example.com/v1","enabled":"yes"}""", "/enabled")]
    [InlineData("""{"name":"x","kind":"openai","base_url":"https://example.com/v1","models":[""]}""", "/models/0")]
    public async Task Create_InvalidProvider_Returns400(string body, string pointer)
    {
        await using var gateway = await TestGateway.StartAsync(Settings);
        var problem = await gateway.Admin.PostForJsonAsync("/admin/v1/providers", body, HttpStatusCode.BadRequest);
        Assert.Contains(problem.GetProperty("errors").EnumerateArray(), error => error.GetProperty("pointer").GetString() == pointer);
    }

    /// <summary>A name that leads to a private address is refused when it is connected to.</summary>
    [Fact]
    public async Task Call_ToProviderWhoseNameIsPrivate_DoesNotReachIt()
    {
        await using var gateway = await TestGateway.StartAsync("""
            fairlead:
              storedProviders: { allowHttp: true }
              retry: { maxRetries: 0 }
            """);
        var port = new Uri(_upstream.Url).Port;
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers", $$"""{"name":"local","kind":"openai","base_url":"http://127.0.0.1:{{port}}/v1"}""", HttpStatusCode.BadRequest);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers", """{"name":"local","kind":"openai","base_url":"http://localhost.localdomain:8080/v1","models":["m"]}""");
        using var response = await gateway.Client.PostJsonAsync("/v1/chat/completions", Chat);
        Assert.True((int)response.StatusCode is >= 500 and < 600);
        Assert.Empty(_upstream.Requests);
    }

    [Fact]
    public async Task Provider_OfTheConfiguration_IsShownAndReadOnly()
    {
        await using var gateway = await TestGateway.StartAsync(Settings);
        Assert.Equal("configuration", (await gateway.Admin.GetJsonAsync("/admin/v1/providers/fixed")).GetProperty("source").GetString());
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/providers/fixed", """{"enabled":false}""", HttpStatusCode.Conflict);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers/fixed/keys", """{"name":"k","secret":"abc"}""", HttpStatusCode.Conflict);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers", """{"name":"fixed","kind":"openai","base_url":"https://example.com/v1"}""", HttpStatusCode.Conflict);
        await gateway.Admin.GetJsonAsync("/admin/v1/providers/nobody", HttpStatusCode.NotFound);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers/nobody/keys", """{"name":"k","secret":"abc"}""", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Change_AddressOfAnotherServerWhileItHasKeys_IsRefused()
    {
        await using var other = await FakeUpstream.StartAsync(context => FakeUpstream.Json(context, FakeUpstream.Completion("other")));
        await using var gateway = await TestGateway.StartAsync(Settings);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers", Body());
        var key = await AddKeyAsync(gateway, Secret);
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/providers/local/keys/{key}", """{"enabled":false}""");
        var change = $$"""{"base_url":"{{other.Url}}/v1"}""";
        foreach (var body in (string[])[change, """{"base_url":null}""", $$"""{"base_url":"{{_upstream.Url.Replace("http://", "https://", StringComparison.Ordinal)}}/v1"}""", $$"""{"base_url":"{{_upstream.Url}}/v2"}"""])
        {
            var error = await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/providers/local", body, HttpStatusCode.Conflict);
            Assert.Equal("conflict", error.GetProperty("code").GetString());
            Assert.NotEmpty(error.GetProperty("remedy").GetString()!);
        }
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/providers/local/keys/{key}", """{"enabled":true}""");
        Assert.Equal("hello", await ChatAsync(gateway));
        Assert.Empty(other.Requests);

        // The same address in other words, and anything once it has no keys.
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/providers/local", $$"""{"base_url":"{{_upstream.Url}}/v1/"}""", HttpStatusCode.OK);
        using var deleted = await gateway.Admin.DeleteAsync(new Uri($"/admin/v1/providers/local/keys/{key}", UriKind.Relative), Token);
        await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/providers/local", change, HttpStatusCode.OK);
        await AddKeyAsync(gateway, OtherSecret);
        Assert.Equal("other", await ChatAsync(gateway));
        Assert.DoesNotContain(other.Headers, headers => headers["Authorization"].Contains(Secret, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Configuration_WithNameOfStoredProvider_IsRefusedAtReloadAndAtStart()
    {
        var database = TestPostgres.CreateDatabase();
        try
        {
            var both = Settings.Replace("    fixed:", "    local: { kind: openai, baseUrl: \"http://127.0.0.1:9/v1\" }\n    fixed:", StringComparison.Ordinal);
            await using (var gateway = await TestGateway.StartOnAsync(database, Settings))
            {
                await gateway.Admin.PostForJsonAsync("/admin/v1/providers", Body());
                await gateway.Admin.SendForJsonAsync(HttpMethod.Patch, "/admin/v1/providers/local", """{"enabled":false}""");
                var source = (FileConfigurationSource)gateway.Services.GetRequiredService<IConfigurationSource>();
                await ReloadAsync(both);
                Assert.DoesNotContain("local", source.Current.Providers.Keys);
                await ReloadAsync(Settings.Replace("fixed:", "other:", StringComparison.Ordinal));
                Assert.Contains("other", source.Current.Providers.Keys);

                async Task ReloadAsync(string yaml)
                {
                    await File.WriteAllTextAsync(Path.Combine(Path.GetDirectoryName(gateway.DataDirectory)!, "fairlead.yaml"), yaml, Token);
                    // Used when two polls have seen it; the timer may be one of them.
                    for (var i = 0; i < 3; i++) source.Poll();
                }
            }
            var failure = await Assert.ThrowsAsync<ConfigurationException>(() => TestGateway.StartOnAsync(database, both));
            var error = Assert.Single(failure.Errors);
            Assert.Equal("fairlead.providers.local", error.Key);
            Assert.Contains("'fairlead providers delete local'", error.Remedy, StringComparison.Ordinal);
            Assert.Contains("DELETE /admin/v1/providers/local", error.Remedy, StringComparison.Ordinal);
            // The way out.
            await using var again = await TestGateway.StartOnAsync(database, Settings);
            using var deleted = await again.Admin.DeleteAsync(new Uri("/admin/v1/providers/local", UriKind.Relative), Token);
            Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
            await using var last = await TestGateway.StartOnAsync(database, both);
        }
        finally
        {
            TestPostgres.DropDatabase(database);
        }
    }

    [Theory]
    [InlineData("""{"name":"k"}""", "missing_parameter")]
    [InlineData("""{"name":"k","secret":"a b"}""", "invalid_parameter")]
    [InlineData("""{"name":"k","secret":"schlüssel"}""", "invalid_parameter")]
    [InlineData("""{"name":"k","secret":7}""", "invalid_parameter")]
    [InlineData("""{"name":"k","secret":"abc","enabled":1}""", "invalid_parameter")]
    public async Task CreateKey_InvalidBody_Returns400WithoutTheSecret(string body, string code)
    {
        await using var gateway = await TestGateway.StartAsync(Settings);
        await gateway.Admin.PostForJsonAsync("/admin/v1/providers", Body());
        Assert.Equal(code, (await gateway.Admin.PostForJsonAsync("/admin/v1/providers/local/keys", body, HttpStatusCode.BadRequest)).GetProperty("code").GetString());
    }

    private const string Chat = """{"model":"local/m","messages":[{"role":"user","content":"hello"}]}""";

    private string Body() => $$"""{"name":"local","kind":"openai","base_url":"{{_upstream.Url}}/v1","models":["m"]}""";

    private static async Task<string> AddKeyAsync(TestGateway gateway, string secret) =>
        (await gateway.Admin.PostForJsonAsync("/admin/v1/providers/local/keys", $$"""{"name":"k","secret":"{{secret}}"}""")).GetProperty("id").GetString()!;

    private static async Task<string?> ChatAsync(TestGateway gateway, HttpStatusCode expected = HttpStatusCode.OK)
    {
        var answer = await gateway.Client.PostForJsonAsync("/v1/chat/completions", Chat, expected);
        return expected == HttpStatusCode.OK ? answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString() : null;
    }
}

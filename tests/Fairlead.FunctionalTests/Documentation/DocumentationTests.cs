using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Providers;
using Fairlead.Server.Documentation;

namespace Fairlead.FunctionalTests.Documentation;

public sealed partial class DocumentationTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    public static TheoryData<string> Codes => [.. ErrorCatalogue.All.Select(e => e.Name)];

    private ServerProcess Server => fixture.Server;

    [Fact]
    public void ErrorsPage_InRepository_MatchesGeneratedPage() => Assert.Equal(ErrorsPage.Write(), Embedded("docs/errors.md"));

    [Fact]
    public void ConfigurationPage_InRepository_MatchesGeneratedTables()
    {
        var page = Embedded("docs/configuration.md");
        Assert.Equal(ConfigurationPage.Refresh(page, ConfigurationSections.BuiltIn), page);
    }

    [Fact]
    public void ConfigurationPage_InRepository_ListsEveryProviderVariable()
    {
        var page = Embedded("docs/configuration.md");
        var variables = BuiltInProviderKinds.All.SelectMany(kind => kind.EnvironmentProviders).SelectMany(provider => provider.Variables).ToList();
        Assert.Contains("GOOGLE_API_KEY", variables);
        Assert.All(variables, variable => Assert.Contains($"`{variable}`", page, StringComparison.Ordinal));
    }

    [Fact]
    public void ConfigurationPage_InRepository_ListsEveryVariableReadBySource()
    {
        var page = Embedded("docs/configuration.md");
        var read = Directory.GetFiles(Path.Combine(Example.Root, "src"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => Variable().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value)).Distinct().ToList();
        Assert.Contains("FAIRLEAD_DATA", read);
        Assert.All(read, variable => Assert.Contains($"| `{variable}` |", page, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Codes))]
    public async Task DocUrl_EveryErrorCode_Resolves(string code)
    {
        var path = ErrorCatalogue.Find(code)!.DocPath;
        var html = await Server.TextAsync(path.Split('#')[0]);
        Assert.Contains($"id=\"{path.Split('#')[1]}\"", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DocumentationLinks_EveryPage_Resolve()
    {
        var pages = new DocumentationPages();
        var broken = new List<string>();
        foreach (var name in pages.Names)
        {
            foreach (var link in pages.Find(name)!.Links)
            {
                if (link.StartsWith("http://", StringComparison.Ordinal) || link.StartsWith("https://", StringComparison.Ordinal) || link.StartsWith("mailto:", StringComparison.Ordinal)) continue;
                var (path, fragment) = link.Split('#') is [var p, var f] ? (p, f) : (link, "");
                var target = path.Length == 0 ? name : path == "/docs" ? "README" : path.StartsWith("/docs/", StringComparison.Ordinal) ? path[6..] : null;
                if (target is null)
                {
                    using var response = await Server.GetAsync(path);
                    if (response.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.Found or HttpStatusCode.MovedPermanently)) broken.Add($"{name}: {link}");
                    continue;
                }
                var page = pages.Find(target);
                if (page is null || (fragment.Length > 0 && !page.Ids.Contains(fragment))) broken.Add($"{name}: {link}");
            }
        }
        Assert.Empty(broken);
    }

    [Fact]
    public async Task DocsPages_Assets_AreSameOriginOnly()
    {
        foreach (var path in (string[])["/docs", "/docs/start", "/docs/errors", "/docs/scheduling", "/reference/"])
        {
            using var response = await Server.GetAsync(path);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Contains("'self'", Assert.Single(response.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
            var html = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            Assert.DoesNotMatch("""(src|href)="(https?:)?//[^"]*\.(js|css|woff2?|svg|png)""", html);
            foreach (Match asset in Assets().Matches(html))
            {
                var address = new Uri(new Uri(Server.Address + path), asset.Groups[1].Value);
                using var loaded = await Server.Client.GetAsync(address, TestContext.Current.CancellationToken);
                Assert.Equal(HttpStatusCode.OK, loaded.StatusCode);
            }
        }
    }

    [Fact]
    public async Task DocsPage_Unknown_Returns404HtmlPage()
    {
        using var response = await Server.GetAsync("/docs/no-such-page%3Cscript%3E");
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        var html = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.Contains("Page not found", html, StringComparison.Ordinal);
        Assert.DoesNotContain("page<script>", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Root_Get_RedirectsToDocs()
    {
        using var response = await Server.GetAsync("/");
        Assert.Equal("/docs", response.Headers.Location!.OriginalString);
    }

    [Fact]
    public async Task Schema_Served_EqualsBuiltInConfigurationSchema() => Assert.Equal(ConfigurationSchema.Text(ConfigurationSections.BuiltIn), await Server.TextAsync("/schemas/fairlead.schema.json"));

    [Theory]
    [InlineData("/docs/start")]
    [InlineData("/docs/streaming")]
    [InlineData("/openapi/v1.json")]
    [InlineData("/openapi/v2.json")]
    public async Task Examples_Served_UseServersOwnAddress(string path)
    {
        Assert.NotEqual(DocumentationPages.ExampleAddress, Server.Address);
        var text = await Server.TextAsync(path);
        Assert.Contains(Server.Address + "/v", text, StringComparison.Ordinal);
        Assert.DoesNotContain(DocumentationPages.ExampleAddress, text, StringComparison.Ordinal);
        Assert.DoesNotContain('\uE000', text);
    }

    [Fact]
    public async Task DocsText_Served_KeepsDefaultAddress() => Assert.Contains($"<code>{DocumentationPages.ExampleAddress}</code>", await Server.TextAsync("/docs/operating"), StringComparison.Ordinal);

    [Fact]
    public void DocsPage_MaliciousServerAddress_IsEscaped()
    {
        var html = new DocumentationPages().Find("start")!.At("http://a\"><script>alert(1)</script>");
        Assert.DoesNotContain("<script>alert", html, StringComparison.Ordinal);
        Assert.Contains("http://a&quot;&gt;&lt;script&gt;", html, StringComparison.Ordinal);
        var json = new OpenApiDocument().JsonOf("v1", "http://a\",\"x\":\"");
        Assert.Contains("http://a", JsonNode.Parse(json)!["paths"]!.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task OpenApi_V1AndV2Documents_TogetherCoverWholeApi()
    {
        var whole = OpenApiDocument.Build();
        var parts = new List<JsonNode>();
        foreach (var name in OpenApiDocument.Names) parts.Add(JsonNode.Parse(await Server.TextAsync($"/openapi/{name}.json"))!);
        static IEnumerable<string> Paths(JsonNode document) => document["paths"]!.AsObject().Select(one => one.Key);
        Assert.All(Paths(parts[0]), path => Assert.StartsWith("/v1/", path, StringComparison.Ordinal));
        Assert.Contains("/v2/generations/{id}/events", Paths(parts[1]));
        Assert.Equal(Paths(whole).Order(StringComparer.Ordinal), parts.SelectMany(Paths).Order(StringComparer.Ordinal));
        foreach (var (path, kind, name) in whole["components"]!.AsObject().Where(one => one.Key != "securitySchemes").SelectMany(group => group.Value!.AsObject().Select(one => ($"#/components/{group.Key}/{one.Key}", group.Key, one.Key))))
        {
            // Every component is used by a path. A component that both documents use appears in both.
            Assert.True(parts.Exists(part => part["components"]![kind]?[name] is not null), $"{path} is used by no path.");
            foreach (var part in parts) Assert.Equal(part.ToJsonString().Contains($"\"{path}\"", StringComparison.Ordinal), part["components"]![kind]?[name] is not null);
        }
    }

    [Theory]
    [InlineData("v1", "/v1/chat/completions", "/v1/embeddings")]
    [InlineData("v2", "/v2/generations")]
    public async Task OpenApi_Served_HasValidReferencesAndExamplesInFourLanguages(string name, params string[] shown)
    {
        var document = JsonNode.Parse(await Server.TextAsync($"/openapi/{name}.json"))!;
        Assert.Equal("3.1.0", document["openapi"]!.GetValue<string>());
        var ids = new HashSet<string>();
        foreach (var (path, methods) in document["paths"]!.AsObject())
        {
            foreach (var (method, operation) in methods!.AsObject())
            {
                Assert.True(ids.Add(operation!["operationId"]!.GetValue<string>()), $"{method} {path}: operationId twice");
                Assert.NotNull(operation["responses"]);
                foreach (Match parameter in Regex.Matches(path, @"\{(\w+)\}"))
                {
                    Assert.Contains(operation["parameters"]!.AsArray(), p => p!.ToJsonString().Contains(parameter.Groups[1].Value, StringComparison.OrdinalIgnoreCase));
                }
            }
        }
        foreach (var reference in References(document))
        {
            JsonNode? target = document;
            foreach (var part in reference[2..].Split('/')) target = target?[part];
            Assert.True(target is not null, reference);
        }
        foreach (var path in shown)
        {
            var languages = document["paths"]![path]!["post"]!["x-codeSamples"]!.AsArray().Select(s => s!["lang"]!.GetValue<string>()).ToHashSet();
            Assert.Superset(new HashSet<string> { "Shell", "CSharp", "TypeScript", "Python" }, languages);
        }
    }

    [Theory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/completions")]
    [InlineData("/v1/embeddings")]
    [InlineData("/v1/messages")]
    [InlineData("/v1/responses")]
    [InlineData("/v2/generations")]
    public async Task OpenApi_EveryGenerationEndpoint_DocumentsIdempotencyKeyAndJobs(string path)
    {
        var document = JsonNode.Parse(await Server.TextAsync($"/openapi/{path.Split('/')[1]}.json"))!;
        var operation = document["paths"]![path]!["post"]!;
        var parameters = References(operation["parameters"]).ToList();
        Assert.Contains("#/components/parameters/IdempotencyKey", parameters);
        Assert.Contains("#/components/parameters/Prefer", parameters);
        Assert.NotNull(operation["responses"]!["202"]);
    }

    private static IEnumerable<string> References(JsonNode? node) => node switch
    {
        JsonObject map => map.SelectMany(m => m.Key == "$ref" ? [m.Value!.GetValue<string>()] : References(m.Value)),
        JsonArray list => list.SelectMany(References),
        _ => [],
    };

    private static string Embedded(string name)
    {
        using var reader = new StreamReader(typeof(DocumentationPages).Assembly.GetManifestResourceStream(name)!);
        return reader.ReadToEnd();
    }

    [GeneratedRegex("\"(FAIRLEAD_[A-Z_]+)\"")]
    private static partial Regex Variable();

    [GeneratedRegex("""<(?:script|link|img)[^>]*(?:src|href)="([^"]+)""")]
    private static partial Regex Assets();
}

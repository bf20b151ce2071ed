using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>The program of <c>docs/embedding.md</c>, compiled without changes and run as the guide says.</summary>
public sealed partial class EmbeddingGuideTests : IAsyncLifetime
{
    private const string Key = "my-development-key-1";
    private const string AdminKey = "an-admin-key-for-the-guide";

    // Replaces the guide's AddJwtBearer, which needs a token issuer: the token user-ann identifies the user ann.
    private const string Authentication = """
        internal sealed class TestAuthentication(Microsoft.Extensions.Options.IOptionsMonitor<Microsoft.AspNetCore.Authentication.AuthenticationSchemeOptions> options, ILoggerFactory loggers, System.Text.Encodings.Web.UrlEncoder encoder)
            : Microsoft.AspNetCore.Authentication.AuthenticationHandler<Microsoft.AspNetCore.Authentication.AuthenticationSchemeOptions>(options, loggers, encoder)
        {
            protected override Task<Microsoft.AspNetCore.Authentication.AuthenticateResult> HandleAuthenticateAsync()
            {
                if (Request.Headers.Authorization.ToString() is not { } header || !header.StartsWith("Bearer user-")) return Task.FromResult(Microsoft.AspNetCore.Authentication.AuthenticateResult.NoResult());
                var user = new System.Security.Claims.ClaimsPrincipal(new System.Security.Claims.ClaimsIdentity([new System.Security.Claims.Claim("sub", header["Bearer user-".Length..])], "test"));
                return Task.FromResult(Microsoft.AspNetCore.Authentication.AuthenticateResult.Success(new Microsoft.AspNetCore.Authentication.AuthenticationTicket(user, "test")));
            }
        }
        """;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("fairlead-guide-");
    private readonly StringBuilder _output = new();
    private readonly HttpClient _client = new();
    private Process? _process;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static string Program => Block("csharp", "WebApplication.CreateBuilder");

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        if (_process is { } process)
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None);
            process.Dispose();
        }
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task EmbeddingGuide_Program_AnswersCallFromGuide()
    {
        await RunAsync(Program, ("FAIRLEAD_CLIENT_KEY", Key));

        var call = Block("sh", "curl http://127.0.0.1:5080").Replace("http://127.0.0.1:5080", _client.BaseAddress!.GetLeftPart(UriPartial.Authority), StringComparison.Ordinal);
        var (exit, output) = await CSharpExamples.RunAsync("bash", ["-c", call], _folder.FullName, [], Token);
        Assert.True(exit == 0, output);
        Assert.Contains("You asked: Hello", output, StringComparison.Ordinal);
        foreach (var (path, body) in ((string, string)[])[
            ("/v1/responses", """{"model":"docs-rag","input":"Hello"}"""),
            ("/v1/messages", """{"model":"docs-rag","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"""),
            ("/v2/generations", """{"model":"docs-rag","input":"Hello"}"""),
            ("/v1/chat/completions", """{"model":"docs-rag","stream":true,"messages":[{"role":"user","content":"Hello"}]}""")])
        {
            using var response = await SendAsync(HttpMethod.Post, path, Key, body);
            var text = await response.Content.ReadAsStringAsync(Token);
            Assert.True(response.StatusCode == HttpStatusCode.OK, text);
            Assert.Contains("You asked", text, StringComparison.Ordinal);
        }

        // Guides and OpenAPI are off, what errors link to is there, and what is not Fairlead's is left to the app.
        foreach (var path in (string[])["/docs", "/docs/start", "/openapi/v1.json", "/openapi/v2.json", "/foo", "/"])
        {
            using var response = await SendAsync(HttpMethod.Get, path, null);
            Assert.Equal((path, HttpStatusCode.NotFound, 0), (path, response.StatusCode, (await response.Content.ReadAsByteArrayAsync(Token)).Length));
        }
        using var errors = await SendAsync(HttpMethod.Get, "/docs/errors", null);
        Assert.Equal(HttpStatusCode.OK, errors.StatusCode);
        using var mistaken = await SendAsync(HttpMethod.Post, "/chat/completions", Key, "{}");
        Assert.Equal(HttpStatusCode.NotFound, mistaken.StatusCode);
        Assert.Contains("Did you mean /v1/chat/completions?", await mistaken.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Key_InDevelopmentAppSettings_IsAccepted()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "appsettings.Development.json"), $$"""{"FAIRLEAD_CLIENT_KEY":"{{Key}}"}""", Token);
        await RunAsync(Program);
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(Key));
        Assert.Equal(HttpStatusCode.Unauthorized, await ChatAsync("another-key-of-somebody"));
        Assert.DoesNotContain(Key, _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ApplicationUsers_SetUpPerGuide_CanCallAndReadDocs()
    {
        var callers = Block("csharp", "UseApplicationCallers");
        var use = callers[callers.IndexOf(".UseApplicationCallers", StringComparison.Ordinal)..].Trim().TrimEnd(';');
        var map = MapWithOptions().Match(Page()).Groups[1].Value;
        var source = UsingLine().Match(callers).Value + "\n" + Program
            .Replace("builder.AddFairlead()\n", $"builder.Services.AddAuthentication(\"test\").AddScheme<Microsoft.AspNetCore.Authentication.AuthenticationSchemeOptions, TestAuthentication>(\"test\", null);\nbuilder.AddFairlead()\n    {use}\n", StringComparison.Ordinal)
            .Replace("app.MapFairlead();", map + ";", StringComparison.Ordinal) + Authentication;
        await RunAsync(source, ("FAIRLEAD_CLIENT_KEY", Key), ("FAIRLEAD_ADMIN_KEY", AdminKey));

        Assert.Equal(HttpStatusCode.OK, await ChatAsync("user-ann"));
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(Key));
        Assert.Equal(HttpStatusCode.Unauthorized, await ChatAsync(null));
        Assert.Equal(HttpStatusCode.Unauthorized, await ChatAsync("a-key-that-nobody-made"));
        using var audit = await SendAsync(HttpMethod.Get, "/admin/v1/audit", AdminKey);
        var keys = JsonNode.Parse(await audit.Content.ReadAsStringAsync(Token))!["data"]!.AsArray().Select(record => record!["key_id"]!.GetValue<string>());
        Assert.Contains(keys, key => key.StartsWith("key_app_", StringComparison.Ordinal));

        foreach (var (path, type) in ((string, string)[])[("/docs", "text/html"), ("/docs/embedding", "text/html"), ("/docs/errors", "text/html"), ("/openapi/v1.json", "application/json"), ("/openapi/v2.json", "application/json")])
        {
            using var page = await SendAsync(HttpMethod.Get, path, null);
            Assert.Equal((HttpStatusCode.OK, type), (page.StatusCode, page.Content.Headers.ContentType!.MediaType));
        }
    }

    // As dotnet run does in a project made by dotnet new web: environment Development, in the app's folder, logs to the console.
    private async Task RunAsync(string source, params (string Name, string Value)[] environment)
    {
        // The sample has the same dependencies as the reader's project; its output folder lends them.
        var here = new DirectoryInfo(AppContext.BaseDirectory);
        var program = _folder.CreateSubdirectory("bin").FullName;
        foreach (var entry in new DirectoryInfo(Path.Combine(here.Parent!.Parent!.FullName, "EmbeddedRag", here.Name)).EnumerateFileSystemInfos())
        {
            if (entry.Name is "EmbeddedRag.dll" or "EmbeddedRag.pdb" or "EmbeddedRag" or "documents" || entry.Name.Contains("staticwebassets", StringComparison.Ordinal)) continue;
            if (entry is DirectoryInfo) Directory.CreateSymbolicLink(Path.Combine(program, entry.Name), entry.FullName);
            else File.CreateSymbolicLink(Path.Combine(program, entry.Name), entry.FullName);
        }
        var sources = _folder.CreateSubdirectory("obj").FullName;
        await CSharpExamples.CompileProgramAsync(sources, source, Path.Combine(program, "EmbeddedRag.dll"), Token);

        var start = new ProcessStartInfo("dotnet", [Path.Combine(program, "EmbeddedRag.dll"), "--urls", "http://127.0.0.1:0"]) { WorkingDirectory = _folder.FullName, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("FAIRLEAD", StringComparison.OrdinalIgnoreCase) || name.EndsWith("_API_KEY", StringComparison.Ordinal)).ToArray()) start.Environment.Remove(name);
        start.Environment["ASPNETCORE_ENVIRONMENT"] = "Development";
        foreach (var (name, value) in environment) start.Environment[name] = value;
        var address = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.OutputDataReceived += (_, line) => Take(line.Data);
        _process.ErrorDataReceived += (_, line) => Take(line.Data);
        _process.Exited += (_, _) => address.TrySetException(new InvalidOperationException($"The program ended: {_output}"));
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        _client.BaseAddress = new Uri(await address.Task.WaitAsync(Token));

        void Take(string? line)
        {
            if (line is null) return;
            lock (_output) _output.AppendLine(line);
            const string Mark = "Now listening on: ";
            var at = line.IndexOf(Mark, StringComparison.Ordinal);
            if (at >= 0) address.TrySetResult(line[(at + Mark.Length)..].Trim());
        }
    }

    private async Task<HttpStatusCode> ChatAsync(string? key)
    {
        using var response = await SendAsync(HttpMethod.Post, "/v1/chat/completions", key, """{"model":"docs-rag","messages":[{"role":"user","content":"Hello"}]}""");
        await response.Content.ReadAsByteArrayAsync(Token);
        return response.StatusCode;
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? key, string? body = null)
    {
        using var request = new HttpRequestMessage(method, new Uri(_client.BaseAddress!, path));
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        if (key is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return await _client.SendAsync(request, Token);
    }

    private static string Block(string language, string part) =>
        Assert.Single(Example.All, example => example.Place.StartsWith("docs/embedding.md:", StringComparison.Ordinal) && example.Language == language && example.Text.Contains(part, StringComparison.Ordinal)).Text;

    private static string Page() => File.ReadAllText(Path.Combine(Example.Root, "docs", "embedding.md"));

    [GeneratedRegex("`(app\\.MapFairlead\\(options => .*?\\}\\))`")]
    private static partial Regex MapWithOptions();

    [GeneratedRegex("^using .*;$", RegexOptions.Multiline)]
    private static partial Regex UsingLine();
}

using System.Reflection;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>Runs the examples of README, guides and OpenAPI document as a reader would.</summary>
public sealed partial class ExampleTests(ExampleFixture fixture) : IClassFixture<ExampleFixture>
{
    // Every transfer reports its status. The example itself is not changed.
    private const string Prelude = """
        curl() {
          command curl --silent --show-error --max-time 60 --write-out '%{stderr}\n[status %{http_code}]\n' "$@"
          local code=$?
          printf '[exit %s]\n' $code >&2
          return $code
        }

        """;

    public static TheoryData<string> Shell => Example.Of("sh");

    public static TheoryData<string> CSharp => Example.Of("csharp");

    public static TheoryData<string> TypeScript => Example.Of("ts");

    public static TheoryData<string> Python => Example.Of("python");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Shell))]
    public async Task CurlExamples_InDocs_ReturnDocumentedStatus(string place)
    {
        var example = Example.At(place);
        var (organization, project, key) = await fixture.MakeObjectsAsync();
        var text = Prelude + example.Text.Replace(Example.Address, fixture.Address, StringComparison.Ordinal);
        var (_, output) = await CSharpExamples.RunAsync("bash", ["-c", text], fixture.Folder,
            [("FAIRLEAD_KEY", fixture.Key), ("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), ("ORGANIZATION_ID", organization), ("PROJECT_ID", project), ("KEY_ID", key), ("TOKEN", fixture.TokenOf(project))], Token);

        var exits = Exits().Matches(output).Select(m => m.Groups[1].Value).ToArray();
        Assert.NotEmpty(exits);
        Assert.All(exits[..^1], exit => Assert.True(exit == "0", output));
        // 18 and 56: the transfer was cut.
        if (example.Breaks) Assert.True(exits[^1] is "18" or "56", output);
        else Assert.True(exits[^1] == "0", output);
        Assert.All(Statuses().Matches(output), m => Assert.True(example.Status is { } status ? int.Parse(m.Groups[1].Value, null) == status : m.Groups[1].Value[0] == '2', output));
    }

    [Theory]
    [MemberData(nameof(CSharp))]
    public async Task CSharpExamples_InDocs_Run(string place)
    {
        var (assembly, examples) = await fixture.CSharpAsync(Token);
        var method = assembly.GetType($"Examples.Example{examples.ToList().FindIndex(e => e.Place == place)}")!.GetMethod("RunAsync")!;
        var printed = (System.Text.StringBuilder)assembly.GetType("Examples.Console")!.GetField("Text")!.GetValue(null)!;
        printed.Clear();
        await (Task)method.Invoke(null, null)!;
        Assert.NotEqual("", printed.ToString().Trim());
    }

    [Theory]
    [MemberData(nameof(TypeScript))]
    public async Task TypeScriptExamples_FromDocs_Run(string place)
    {
        var modules = Path.Combine(Example.Root, "tests", "Fairlead.FunctionalTests", "Clients", "node", "node_modules");
        var node = Path.Combine(modules, ".bin", "node");
        Assert.True(File.Exists(node), "The npm clients are not installed: run ./test.sh, or `npm ci` in tests/Fairlead.FunctionalTests/Clients/node.");
        var folder = Directory.CreateDirectory(Path.Combine(fixture.Folder, "ts"));
        var link = Path.Combine(folder.FullName, "node_modules");
        if (!Directory.Exists(link)) Directory.CreateSymbolicLink(link, modules);
        await File.WriteAllTextAsync(Path.Combine(folder.FullName, "package.json"), """{"type":"module"}""", Token);
        await File.WriteAllTextAsync(Path.Combine(folder.FullName, "example.ts"), Example.At(place).Text.Replace(Example.Address, fixture.Address, StringComparison.Ordinal), Token);
        var (exit, output) = await CSharpExamples.RunAsync(node, ["--disable-warning=ExperimentalWarning", "example.ts"], folder.FullName, [("FAIRLEAD_KEY", fixture.Key)], Token);
        Assert.True(exit == 0, output);
        Assert.NotEqual("", output.Trim());
    }

    [Theory]
    [MemberData(nameof(Python))]
    public async Task PythonExamples_FromDocs_HaveValidSyntax(string place)
    {
        var path = Path.Combine(fixture.Folder, "example.py");
        await File.WriteAllTextAsync(path, Example.At(place).Text, Token);
        (int Exit, string Output) result;
        try
        {
            result = await CSharpExamples.RunAsync("python3", ["-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())", path], fixture.Folder, [], Token);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("There is no python3 on this machine.");
            return;
        }
        Assert.True(result.Exit == 0, result.Output);
    }

    [Fact]
    public void Examples_InReference_CoverEveryTopicInEveryLanguage()
    {
        var missing =
            from language in (string[])["curl", "C#", "TypeScript", "Python"]
            from subject in (string[])[
                "post /v1/chat/completions, {0}", "post /v1/chat/completions, {0}, stream", "post /v1/chat/completions, {0}, tools",
                "post /v1/chat/completions, {0}, structured output", "post /v1/chat/completions, {0}, errors", "post /v1/embeddings, {0}", "post /v1/messages, {0}"]
            let place = string.Format(null, subject, language)
            where Example.All.All(e => e.Place != place)
            select place;
        Assert.Empty(missing);
    }

    [Fact]
    public void Examples_NotRun_StateReason() =>
        Assert.All(Example.All.Where(e => e.Remarks.StartsWith("not-run", StringComparison.Ordinal)), e => Assert.Matches("^not-run: .{10,}", e.Remarks));

    [GeneratedRegex(@"\[status (\d{3})\]")]
    private static partial Regex Statuses();

    [GeneratedRegex(@"\[exit (\d+)\]")]
    private static partial Regex Exits();
}

/// <summary>The program, for the examples to run against.</summary>
public sealed class ExampleFixture : IAsyncLifetime
{
    private readonly SemaphoreSlim _once = new(1);
    private readonly TestIssuer _issuer = new(listens: true);
    private ServerProcess _server = null!;
    private HttpClient _admin = null!;
    private Assembly? _compiled;

    public string Folder { get; } = Directory.CreateTempSubdirectory("fairlead-examples").FullName;

    public string Address => _server.Address;

    public string Key { get; private set; } = "";

    /// <summary>A token of an identity provider, whose caller is in a project.</summary>
    public string TokenOf(string project) => _issuer.Token(claims => claims["fairlead_project"] = project);

    public async ValueTask InitializeAsync()
    {
        _server = await ServerProcess.ServeAsync(Folder,
            ("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey),
            ("Fairlead__Authentication__Oidc__company__Issuer", _issuer.Url),
            ("Fairlead__Authentication__Oidc__company__Audiences__0", "fairlead"),
            ("Fairlead__Authentication__Oidc__company__Organization", "any"),
            ("Fairlead__Authentication__Oidc__company__Claims__Project", "fairlead_project"));
        _admin = new HttpClient { BaseAddress = new Uri(_server.Address) };
        _admin.DefaultRequestHeaders.Authorization = new("Bearer", TestGateway.AdminKey);
        var (_, project, _) = await MakeObjectsAsync();
        Key = (await _admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"examples","project_id":"{{project}}","scopes":["chat","embeddings","batches","models:read","usage:read","webhooks"]}""")).GetProperty("secret").GetString()!;
    }

    /// <summary>An organization, a project and a key for an example to use up.</summary>
    public async Task<(string Organization, string Project, string Key)> MakeObjectsAsync()
    {
        var organization = await IdAsync("organizations", """{"name":"Example"}""");
        var project = await IdAsync("projects", $$"""{"name":"Example","organization_id":"{{organization}}"}""");
        return (organization, project, await IdAsync("keys", $$"""{"name":"Example","project_id":"{{project}}"}"""));

        async Task<string> IdAsync(string kind, string body) => (await _admin.PostForJsonAsync("/admin/v1/" + kind, body)).GetProperty("id").GetString()!;
    }

    internal async Task<(Assembly Assembly, IReadOnlyList<Example> Examples)> CSharpAsync(CancellationToken cancellationToken)
    {
        var examples = Example.All.Where(e => e.Language == "csharp" && e.Runs).ToArray();
        await _once.WaitAsync(cancellationToken);
        try
        {
            return (_compiled ??= await CSharpExamples.CompileAsync(Folder, examples, Address, Key, cancellationToken), examples);
        }
        finally
        {
            _once.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        _admin?.Dispose();
        if (_server is not null) await _server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
        _once.Dispose();
        _issuer.Dispose();
    }
}

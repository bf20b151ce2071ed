using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Hosting;

/// <summary>The first steps of a newcomer: what a start says, where keys are made, and what is asked for when something is missing.</summary>
public sealed class FirstStepsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-first").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Start_WithConfigFile_PrintsConfigDataFolderProvidersAndModels()
    {
        await WriteAsync("fairlead: { models: { mine: { deployments: [{ provider: simulated, model: sim-fast }] } } }");
        await using var server = await ServerProcess.ServeAsync(_folder);
        await server.LineAsync(line => line.StartsWith("  Models", StringComparison.Ordinal));
        Assert.Contains($"  Config       {Path.Combine(_folder, "fairlead.yaml")}\n", server.Output, StringComparison.Ordinal);
        Assert.Contains($"  Data folder  {Path.Combine(_folder, "data")}\n", server.Output, StringComparison.Ordinal);
        Assert.Contains("  Providers    simulated\n", server.Output, StringComparison.Ordinal);
        Assert.Contains("  Models       mine, sim-echo", server.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void DotnetRun_EveryProgram_UsesCallersWorkingDirectory()
    {
        foreach (var project in (string[])["src/Fairlead.Server/Fairlead.Server.csproj", "samples/EmbeddedRag/EmbeddedRag.csproj"])
        {
            Assert.Contains("<EnableDefaultRunWorkingDirectory>false</EnableDefaultRunWorkingDirectory>", File.ReadAllText(Repository.PathOf(project)), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("list")]
    [InlineData("create", "ci")]
    [InlineData("revoke", "key_none")]
    public async Task KeysCommand_WithoutDatabase_ReportsSearchedFolderAndCreatesNothing(params string[] arguments)
    {
        await using var keys = ServerProcess.Start(_folder, ["keys", .. arguments]);
        Assert.Equal(1, await keys.ExitAsync());
        Assert.Contains($"There is no database in {Path.Combine(_folder, "data")}.", keys.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public async Task KeysCreate_ProviderVariableUnset_StillCreatesKey()
    {
        await WriteAsync("fairlead: { dataDirectory: ./there, providers: { claude: { kind: anthropic, apiKey: \"${NOBODY_SET_THIS}\" }, typo: { knd: x } } }");
        var data = Path.Combine(_folder, "there");
        await using (var server = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_CONFIG", "/dev/null"), ("FAIRLEAD_DATA", data))) Assert.Equal(0, await server.TerminateAsync());
        await using var create = ServerProcess.Start(_folder, ["keys", "create", "ci"]);
        Assert.Equal(0, await create.ExitAsync());
        Assert.Contains($"Data folder: {data}", create.Error, StringComparison.Ordinal);
        Assert.Contains("\nfl_", create.Output, StringComparison.Ordinal);
        // The same file by name, from another folder.
        var elsewhere = Directory.CreateDirectory(Path.Combine(_folder, "elsewhere")).FullName;
        await using var list = ServerProcess.Start(elsewhere, ["keys", "list", "--config", "../fairlead.yaml"], ("FAIRLEAD_DATA", data));
        Assert.Equal(0, await list.ExitAsync());
        Assert.Contains(" ci ", list.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("text")]
    [InlineData("json")]
    public async Task Start_BothKeysProvided_PrintsNoSecretsAndBothWork(string format)
    {
        const string Client = "the-client-key-of-this-test", Admin = "the-admin-key-of-this-test";
        await using var server = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_ADMIN_KEY", Admin), ("FAIRLEAD_CLIENT_KEY", Client), ("FAIRLEAD_LOG_FORMAT", format));
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(server, Client));
        Assert.Equal(HttpStatusCode.Forbidden, await AdminAsync(server, Client));
        Assert.Equal(HttpStatusCode.OK, await AdminAsync(server, Admin));
        Assert.Equal(0, await server.TerminateAsync());
        foreach (var secret in (string[])["fl_", Client, Admin]) Assert.DoesNotContain(secret, server.Output + server.Error, StringComparison.Ordinal);

        // Without the variable the key is unknown: nothing of it was stored.
        await using var next = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_ADMIN_KEY", Admin));
        Assert.Equal(HttpStatusCode.Unauthorized, await ChatAsync(next, Client));
    }

    [Fact]
    public async Task Start_NoFirstKeys_PrintsNoneAndKeysCreateCreatesFirst()
    {
        await using (var server = ServerProcess.Start(_folder, ["--urls", "http://127.0.0.1:0", "--no-first-keys"]))
        {
            await server.ListeningAsync();
            Assert.Equal(0, await server.TerminateAsync());
            Assert.DoesNotContain("fl_", server.Output + server.Error, StringComparison.Ordinal);
        }
        await using var create = ServerProcess.Start(_folder, ["keys", "create", "first"]);
        Assert.Equal(0, await create.ExitAsync());
        await using var again = await ServerProcess.ServeAsync(_folder);
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(again, create.Output.Split('\n')[1].Trim()));
    }

    [Theory]
    [InlineData("short", "FAIRLEAD_CLIENT_KEY has 5 characters")]
    [InlineData("the-admin-key-of-this-test", "contain the same key")]
    public async Task Start_InvalidClientKey_PrintsReasonOnly(string key, string why)
    {
        await using var server = ServerProcess.Start(_folder, [], ("FAIRLEAD_ADMIN_KEY", "the-admin-key-of-this-test"), ("FAIRLEAD_CLIENT_KEY", key));
        Assert.Equal(1, await server.ExitAsync());
        Assert.Contains(why, server.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Parameter", server.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metrics_KeyConfigured_RequiresKey()
    {
        await WriteAsync("fairlead: { telemetry: { metricsKey: the-key-of-the-metrics } }");
        await using var server = await ServerProcess.ServeAsync(_folder);
        foreach (var (key, status) in ((string?, HttpStatusCode)[])[(null, HttpStatusCode.Unauthorized), ("another", HttpStatusCode.Unauthorized), ("the-key-of-the-metrics", HttpStatusCode.OK)])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, server.Address + "/metrics");
            if (key is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
            using var response = await server.Client.SendAsync(request, Cancel);
            Assert.Equal(status, response.StatusCode);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.Equal(status == HttpStatusCode.OK, text.Contains("fairlead_calls_active", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Metrics_AfterCall_ReportCostByConfiguredNames()
    {
        await WriteAsync("fairlead: { models: { dear: { prices: { input: 10, output: 20 }, deployments: [{ provider: simulated, model: sim-fast }] } } }");
        await using var server = await ServerProcess.ServeAsync(_folder);
        Assert.Equal(HttpStatusCode.OK, await ChatAsync(server, await server.ClientKeyAsync(), "dear"));
        string? line = null;
        // The attempt is counted when the call has ended, which may be after its last byte.
        while (line is null)
        {
            line = (await server.TextAsync("/metrics")).Split('\n').FirstOrDefault(one => one.StartsWith("fairlead_cost_usd_total{", StringComparison.Ordinal));
            Cancel.ThrowIfCancellationRequested();
        }
        Assert.Contains("fairlead_provider=\"simulated\"", line, StringComparison.Ordinal);
        Assert.Contains("fairlead_deployment=\"simulated/sim-fast\"", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ConfigCheck_ErrorsOfEveryKind_ListsAllWithLineNumbers()
    {
        await WriteAsync("""
            fairlead:
              drainTimeout: soon
              providers:
                one:
                  kind: opnai
                two:
                  baseUrl: https://two.example/v1
              models:
                mine:
                  contextWindow: lots
                  deployments:
                    - { provider: nobody, model: x }
                    - { provider: simulated, model: sim-fast, weight: 0 }
                local:
                  deployments:
                    - { provider: two, model: llama }
            """);
        await using var check = ServerProcess.Start(_folder, ["config", "check"]);
        Assert.Equal(1, await check.ExitAsync());
        (string Key, int Line)[] expected =
        [
            ("fairlead.drainTimeout", 2), ("fairlead.providers.one.kind", 5), ("fairlead.providers.two.kind", 6), ("fairlead.models.mine.contextWindow", 10),
            ("fairlead.models.mine.deployments[0].provider", 12), ("fairlead.models.mine.deployments[1].weight", 13),
            ("fairlead.models.local.contextWindow", 14), ("fairlead.models.local.prices", 14), ("fairlead.models.local.capabilities", 14),
        ];
        var lines = check.Error.Split('\n');
        foreach (var (key, line) in expected)
        {
            var at = Array.FindIndex(lines, one => one == "  " + key || one.StartsWith($"  {key} = ", StringComparison.Ordinal));
            Assert.True(at >= 0, $"{key} is missing:\n{check.Error}");
            Assert.EndsWith($", line {line}", lines[at + 1], StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("CONTRIBUTING.md")]
    [InlineData("docs/start.md")]
    public void SdkVersion_InDocs_MatchesGlobalJson(string document)
    {
        var sdk = JsonDocument.Parse(File.ReadAllText(Repository.PathOf("global.json"))).RootElement.GetProperty("sdk");
        var version = sdk.GetProperty("version").GetString()!;
        var words = sdk.GetProperty("rollForward").GetString() switch
        {
            "latestFeature" => $"{version} or later of version {version[..version.LastIndexOf('.')]}",
            "latestPatch" => $"{version} or a later patch of it",
            "latestMinor" => $"{version} or later of version {version[..version.IndexOf('.', StringComparison.Ordinal)]}",
            "latestMajor" => $"{version} or later",
            var other => throw new InvalidOperationException($"Say in the documents what '{other}' means."),
        };
        var text = string.Join(' ', File.ReadAllText(Repository.PathOf(document)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(words, text, StringComparison.Ordinal);
    }

    private Task WriteAsync(string yaml) => File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), yaml, Cancel);

    private static async Task<HttpStatusCode> ChatAsync(ServerProcess server, string key, string model = "sim-fast")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, server.Address + "/v1/chat/completions") { Content = new StringContent(JsonSerializer.Serialize(new { model, messages = new[] { new { role = "user", content = "Hello" } } }), new MediaTypeHeaderValue("application/json")) };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        using var response = await server.Client.SendAsync(request, Cancel);
        await response.Content.ReadAsByteArrayAsync(Cancel);
        return response.StatusCode;
    }

    private static async Task<HttpStatusCode> AdminAsync(ServerProcess server, string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Address + "/admin/v1/organizations");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        using var response = await server.Client.SendAsync(request, Cancel);
        return response.StatusCode;
    }
}

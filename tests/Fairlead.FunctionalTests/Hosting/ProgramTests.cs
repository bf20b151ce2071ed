using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Fairlead.FunctionalTests.Hosting;

public sealed class ProgramTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-program").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Start_FirstTime_PrintsKeysOnceWithExampleCall()
    {
        string first;
        await using (var server = await ServerProcess.ServeAsync(_folder))
        {
            Assert.Equal("ok\n", await server.TextAsync("/readyz"));
            Assert.Equal(0, await server.TerminateAsync());
            first = server.Output;
        }
        Assert.Contains("Admin key    fl_", first, StringComparison.Ordinal);
        Assert.Contains("Client key   fl_", first, StringComparison.Ordinal);
        Assert.Contains("/v1/chat/completions", first, StringComparison.Ordinal);
        Assert.Contains("/docs", first, StringComparison.Ordinal);

        await using var again = await ServerProcess.ServeAsync(_folder);
        Assert.Equal(0, await again.TerminateAsync());
        Assert.DoesNotContain("fl_", again.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_FirstTime_PrintsWorkingCurlCommand()
    {
        await using var server = await ServerProcess.ServeAsync(_folder);
        // Line by line as a reader would copy it, from "curl" to the closing quote.
        await server.LineAsync(line => line.StartsWith("Documentation:", StringComparison.Ordinal));
        var lines = server.Output.Split('\n');
        var from = Array.FindIndex(lines, line => line.TrimStart().StartsWith("curl ", StringComparison.Ordinal));
        var to = Array.FindIndex(lines, from, line => !line.EndsWith('\\'));
        var start = new ProcessStartInfo("bash") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(string.Join('\n', lines[from..(to + 1)]));
        using var bash = Process.Start(start)!;
        var error = bash.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var answer = await bash.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await bash.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(bash.ExitCode == 0, await error);
        using var json = JsonDocument.Parse(answer);
        var message = json.RootElement.GetProperty("choices")[0].GetProperty("message");
        Assert.Equal("assistant", message.GetProperty("role").GetString());
        Assert.NotEmpty(message.GetProperty("content").GetString()!);
    }

    [Fact]
    public async Task Start_PortInUse_PrintsErrorWithoutStackTrace()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        await using var server = ServerProcess.Start(_folder, ["--urls", $"http://{other.LocalEndpoint}"]);
        Assert.Equal(1, await server.ExitAsync());
        Assert.Contains("listens on http://127.0.0.1", server.Error, StringComparison.Ordinal);
        Assert.Contains("--urls", server.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("\n   at ", server.Error + server.Output, StringComparison.Ordinal);
        // No keys were printed, so the next start prints some.
        await using var next = await ServerProcess.ServeAsync(_folder);
        Assert.Contains("Client key   fl_", await PrintedAsync(next), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_BadConfiguration_ListsAllErrors()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), "fairlead: { drainTimeout: soon, retry: { maxRetry: 3 } }", TestContext.Current.CancellationToken);
        await using var server = ServerProcess.Start(_folder, []);
        Assert.Equal(1, await server.ExitAsync());
        Assert.Contains("fairlead.drainTimeout = soon", server.Error, StringComparison.Ordinal);
        Assert.Contains("Did you mean 'maxRetries'?", server.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("\n   at ", server.Error + server.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_DataDirectoryIsAFile_PrintsFix()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "data"), "", TestContext.Current.CancellationToken);
        await using var server = ServerProcess.Start(_folder, []);
        Assert.Equal(1, await server.ExitAsync());
        Assert.Contains("FAIRLEAD_DATA", server.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("\n   at ", server.Error + server.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("fairlead: { drainTimeout: 5s }", 0)]
    [InlineData("fairlead: { drainTimeout: 5 }", 1)]
    public async Task ConfigCheck_ExplicitFile_SetsExitCode(string yaml, int code)
    {
        var path = Path.Combine(_folder, "other.yaml");
        await File.WriteAllTextAsync(path, yaml, TestContext.Current.CancellationToken);
        await using var check = ServerProcess.Start(_folder, ["config", "check", path]);
        Assert.Equal(code, await check.ExitAsync());
        Assert.Contains(code == 0 ? "is valid" : "fairlead.drainTimeout", check.Output + check.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(_folder, "data")));
    }

    /// <summary>Runs the check without a path, as every configuration error message advises.</summary>
    [Theory]
    [InlineData("fairlead.yaml", "")]
    [InlineData("elsewhere.yaml", "FAIRLEAD_CONFIG=elsewhere.yaml")]
    [InlineData("", "Fairlead__DrainTimeout=5")]
    public async Task ConfigCheck_WithoutPath_ListsAllErrorsInStartupConfig(string file, string variable)
    {
        if (file.Length > 0) await File.WriteAllTextAsync(Path.Combine(_folder, file), "fairlead: { drainTimeout: 5, retry: { maxRetry: 3 } }", TestContext.Current.CancellationToken);
        await using var check = ServerProcess.Start(_folder, ["config", "check"], variable.Length == 0 ? [] : [(variable.Split('=')[0], variable.Split('=')[1])]);
        Assert.Equal(1, await check.ExitAsync());
        Assert.Contains("fairlead.drainTimeout", check.Error, StringComparison.OrdinalIgnoreCase);
        if (file.Length > 0) Assert.Contains("Did you mean 'maxRetries'?", check.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", (check.Error + check.Output).Replace("    at      ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal("", check.Output);
    }

    [Fact]
    public async Task ConfigCheck_FileAndEnvironment_ListsProvidersAndModels()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), "fairlead: { models: { mine: { deployments: [{ provider: openai, model: gpt-6-luna }] } } }", TestContext.Current.CancellationToken);
        await using var check = ServerProcess.Start(_folder, ["config", "check"], ("OPENAI_API_KEY", "sk-test"));
        Assert.Equal(0, await check.ExitAsync());
        Assert.Matches(@"Providers +openai, simulated\n +Models +mine, ", check.Output.ReplaceLineEndings("\n"));
    }

    [Theory]
    [InlineData("short", "has 5 characters")]
    [InlineData("sixteen and more, but with spaces", "contains a space")]
    public async Task Start_InvalidAdminKey_PrintsReasonOnly(string key, string why)
    {
        await using var server = ServerProcess.Start(_folder, [], ("FAIRLEAD_ADMIN_KEY", key));
        Assert.Equal(1, await server.ExitAsync());
        Assert.Contains(why, server.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Parameter", server.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(key, server.Error + server.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "servee")]
    [InlineData(2, "config", "chekc")]
    [InlineData(0, "--version")]
    [InlineData(0, "--help")]
    public async Task CommandLine_Arguments_SetExitCode(int code, params string[] arguments)
    {
        await using var command = ServerProcess.Start(_folder, arguments);
        Assert.Equal(code, await command.ExitAsync());
    }

    [Fact]
    public async Task KeysCommand_LocalStore_CreatesListsAndRevokesKeys()
    {
        await using (var server = await ServerProcess.ServeAsync(_folder)) Assert.Equal(0, await server.TerminateAsync());
        await using var create = ServerProcess.Start(_folder, ["keys", "create", "ci", "--scope", "chat"]);
        Assert.Equal(0, await create.ExitAsync());
        var id = create.Output.Split(' ')[0];
        Assert.StartsWith("key_", id, StringComparison.Ordinal);
        Assert.Contains("\nfl_", create.Output, StringComparison.Ordinal);

        await using var revoke = ServerProcess.Start(_folder, ["keys", "revoke", id]);
        Assert.Equal(0, await revoke.ExitAsync());
        await using var list = ServerProcess.Start(_folder, ["keys", "list"]);
        Assert.Equal(0, await list.ExitAsync());
        Assert.Contains("revoked", Assert.Single(list.Output.Split('\n'), l => l.StartsWith(id, StringComparison.Ordinal)), StringComparison.Ordinal);

        await using var unknown = ServerProcess.Start(_folder, ["keys", "revoke", "key_nobody"]);
        Assert.Equal(1, await unknown.ExitAsync());
    }

    [Fact]
    public async Task Probes_WhileServing_RespondWithoutKeyAndUncached()
    {
        await using var server = await ServerProcess.ServeAsync(_folder);
        foreach (var path in (string[])["/livez", "/readyz", "/readyz?verbose"])
        {
            using var response = await server.GetAsync(path);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.True(response.Headers.CacheControl!.NoStore);
            Assert.False(response.Headers.Contains("Server"));
        }
        Assert.Contains("[+] store: ok", await server.TextAsync("/readyz?verbose"), StringComparison.Ordinal);
        Assert.Contains("fairlead_calls_active", await server.TextAsync("/metrics"), StringComparison.Ordinal);
    }

    private static async Task<string> PrintedAsync(ServerProcess server)
    {
        // The line about listening comes before the keys. The end of the process flushes the output.
        await server.TerminateAsync();
        return server.Output;
    }
}

using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Telemetry;

/// <summary>
/// The log of the real program at its most verbose level. It contains no text of requests or responses and no credential.
/// </summary>
public sealed class LogContentTests : IAsyncLifetime
{
    private const string Prompt = "a question that no log may hold";
    private const string Answer = "an answer that no log may hold";
    private const string Failure = "the key sk-live-0123456789abcdef was refused by gpu-7.internal";
    private const string AdminKey = "administration-of-the-log-test-1";

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-logs").FullName;
    private FakeUpstream _upstream = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("text")]
    [InlineData("json")]
    public async Task Log_AtTraceLevel_ContainsNoPromptsResponsesOrKeys(string format)
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml("  retry: { maxRetries: 0 }"), Token);
        // A first start shows its keys, once; what it prints is not the log.
        string key;
        await using (var first = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_ADMIN_KEY", AdminKey)))
        {
            key = await first.ClientKeyAsync();
            Assert.Equal(0, await first.TerminateAsync());
        }
        await using var server = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_LOG_LEVEL", "Trace"), ("FAIRLEAD_LOG_FORMAT", format), ("FAIRLEAD_ADMIN_KEY", AdminKey));

        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion(Answer));
        await CallAsync(server, key, "/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"system","content":"{{Prompt}}"},{"role":"user","content":"{{Prompt}}"}],"user":"{{Prompt}}"}""");
        await CallAsync(server, key, "/v1/messages", $$"""{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"{{Prompt}}"}]}""");
        await CallAsync(server, key, "/v1/responses", $$"""{"model":"m","input":"{{Prompt}}"}""");
        await CallAsync(server, key, "/v2/generations", $$$"""{"model":"m","input":"{{{Prompt}}}","metadata":{"note":"{{{Prompt}}}"},"delivery":{"mode":"auto","wait_seconds":30}}""");
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"role":"assistant","content":"{{Answer}}"}"""));
            FakeUpstream.Cut(context);
        };
        await CallAsync(server, key, "/v1/chat/completions", $$"""{"model":"m","stream":true,"messages":[{"role":"user","content":"{{Prompt}}"}]}""");
        _upstream.Answer = context => FakeUpstream.Json(context, $$$"""{"error":{"message":"{{{Failure}}}","type":"{{{Failure}}}","code":"{{{Failure}}}"}}""", 401);
        await CallAsync(server, key, "/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"user","content":"{{Prompt}}"}]}""");
        _upstream.Answer = context => FakeUpstream.Json(context, $$$"""{"error":{"message":"{{{Failure}}}"}}""", 400);
        await CallAsync(server, key, "/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"user","content":"{{Prompt}}"}]}""");
        // Refused before anybody was asked, and garbled.
        await CallAsync(server, key, "/v1/chat/completions", $$"""{"model":"no-such-model","messages":[{"role":"user","content":"{{Prompt}}"}]}""");
        await CallAsync(server, key, "/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"user","content":"{{Prompt}}" """);
        await CallAsync(server, key + "x", "/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"user","content":"{{Prompt}}"}]}""");
        var made = JsonDocument.Parse(await CallAsync(server, AdminKey, "/admin/v1/organizations", """{"name":"Log"}""")).RootElement;
        var project = JsonDocument.Parse(await CallAsync(server, AdminKey, "/admin/v1/projects", $$"""{"name":"Log","organization_id":"{{made.GetProperty("id").GetString()}}"}""")).RootElement;
        var other = JsonDocument.Parse(await CallAsync(server, AdminKey, "/admin/v1/keys", $$"""{"name":"Log","project_id":"{{project.GetProperty("id").GetString()}}"}""")).RootElement.GetProperty("secret").GetString()!;
        Assert.Equal(0, await server.TerminateAsync());

        var log = server.Output + server.Error;
        Assert.Contains(format == "json" ? "\"LogLevel\":\"Debug\"" : "dbug: Fairlead", log, StringComparison.Ordinal);
        foreach (var secret in (string[])[Prompt, Answer, Failure, "sk-upstream-secret", AdminKey, key, other]) Assert.DoesNotContain(secret, log, StringComparison.Ordinal);
        if (format == "json") Assert.All(server.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line.StartsWith('{')), line => Assert.Equal(JsonValueKind.Object, JsonDocument.Parse(line).RootElement.ValueKind));
    }

    private static async Task<string> CallAsync(ServerProcess server, string key, string path, string body)
    {
        using var response = await server.Client.PostJsonAsync(server.Address + path, body, [("Authorization", $"Bearer {key}")]);
        try
        {
            return await response.Content.ReadAsStringAsync(Token);
        }
        catch (HttpRequestException)
        {
            // The stream that breaks.
            return "";
        }
    }
}

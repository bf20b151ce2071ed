using System.Net;
using Fairlead.FunctionalTests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>fairlead.yaml edited while the program runs and a stream is open.</summary>
public sealed class ReloadTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-reload").FullName;
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FakeUpstream _upstream = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = async context =>
        {
            if (context.Items[RequestItem] is System.Text.Json.JsonElement request && !request.TryGetProperty("stream", out _))
            {
                await Json(context, Completion("new"));
                return;
            }
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"first "}"""));
            await _goOn.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, context.RequestAborted);
            await SendAsync(context, Chunk("""{"content":"last"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Reload_ValidThenInvalidFile_AppliesFirstRefusesSecondAndKeepsStreams()
    {
        await WriteAsync("");
        await using var server = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey));
        var key = await server.ClientKeyAsync();
        using var open = await ProcessCalls.PostAsync(server, key, """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.OK, open.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, await AskAsync(server, key, "added"));

        // The provider changes too (its headers), so its connections are replaced while the stream is open.
        await WriteAsync("    added: { contextWindow: 4000, prices: { input: 0, output: 0 }, capabilities: { tools: false }, deployments: [{ provider: up, model: other }] }", "headers: { x-new: one }, ");
        var followed = await server.LineAsync(line => line.Contains("Configuration reloaded", StringComparison.Ordinal) || line.Contains("refused", StringComparison.Ordinal)).WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System, Cancel);
        Assert.Contains("Configuration reloaded", followed, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(server, key, "added"));
        Assert.Equal("one", _upstream.Headers.Last()["x-new"]);

        await WriteAsync("    broken: { contextWindow: many }");
        await server.LineAsync(line => line.Contains("many", StringComparison.Ordinal)).WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System, Cancel);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(server, key, "added"));
        Assert.Equal(HttpStatusCode.NotFound, await AskAsync(server, key, "broken"));

        _goOn.SetResult();
        var stream = await SeenStream.ReadAsync(open, Cancel);
        Assert.False(stream.Broken);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        Assert.Equal(0, await server.TerminateAsync());
    }

    private Task WriteAsync(string model, string provider = "")
    {
        var yaml = _upstream.Yaml().TrimEnd() + "\n" + model + "\n";
        return File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), yaml.Replace("kind: openai, ", "kind: openai, " + provider, StringComparison.Ordinal), Cancel);
    }

    private static async Task<HttpStatusCode> AskAsync(ServerProcess server, string key, string model)
    {
        using var response = await ProcessCalls.PostAsync(server, key, $$"""{"model":"{{model}}","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}""");
        return response.StatusCode;
    }
}

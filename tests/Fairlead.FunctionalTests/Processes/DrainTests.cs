using System.Net;
using Fairlead.FunctionalTests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>SIGTERM to the real program while a stream is open.</summary>
public sealed class DrainTests : IAsyncLifetime
{
    private const string Body = """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""";

    private const string Whole = """{"model":"m","messages":[{"role":"user","content":"hi"}]}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-drain").FullName;
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FakeUpstream _upstream = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = async context =>
        {
            context.RequestAborted.Register(() => _left.TrySetResult());
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"first "}"""));
            _asked.TrySetResult();
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
    public async Task Terminate_StreamOpen_RefusesNewCallsAndLetsItFinish()
    {
        await using var server = await ServeAsync("30s");
        var key = await server.ClientKeyAsync();
        using var open = await ProcessCalls.PostAsync(server, key, Body);
        Assert.Equal(HttpStatusCode.OK, open.StatusCode);

        await server.SignalAsync("TERM");
        await ProbeUntilAsync(server, HttpStatusCode.ServiceUnavailable);
        using (var alive = await server.GetAsync("/livez")) Assert.Equal(HttpStatusCode.OK, alive.StatusCode);
        // Anthropic's clients know an overload by 529.
        foreach (var (path, status) in new[] { ("/v1/chat/completions", 503), ("/v1/messages", 529), ("/v1/moderations", 503) })
        {
            using var refused = await ProcessCalls.PostAsync(server, key, """{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}""", path);
            Assert.Equal(status, (int)refused.StatusCode);
            Assert.Contains("\"shutting_down\"", await refused.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
            Assert.NotNull(refused.Headers.RetryAfter);
        }
        Assert.False(server.Process.HasExited);

        _goOn.SetResult();
        var stream = await SeenStream.ReadAsync(open, Cancel);
        Assert.False(stream.Broken);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        Assert.Equal("complete", stream.Events[^2].Json.GetProperty("fairlead").GetProperty("outcome").GetString());
        Assert.Equal(0, await server.ExitAsync());

        await using var next = await ServeAsync("30s");
        var record = Assert.Single(await AuditSight.RecordsAsync(next));
        Assert.Equal("complete", record.GetProperty("outcome").GetString());
    }

    private const string Kept = """{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""";

    [Fact]
    public async Task Terminate_StoredStreamBeingRead_LetsAllReadersFinish()
    {
        await using var server = await ServeAsync("30s");
        var key = await server.ClientKeyAsync();
        using var open = await ProcessCalls.PostAsync(server, key, Kept, "/v2/generations");
        Assert.Equal(HttpStatusCode.OK, open.StatusCode);
        var id = open.Headers.GetValues("Fairlead-Generation").Single();
        using var reader = await ReadAsync(server, key, id);

        await server.SignalAsync("TERM");
        await ProbeUntilAsync(server, HttpStatusCode.ServiceUnavailable);
        _goOn.SetResult();
        foreach (var response in new[] { open, reader })
        {
            var stream = await SeenStream.ReadAsync(response, Cancel);
            Assert.False(stream.Broken);
            Assert.Equal("generation.completed", stream.Events[^1].Name);
        }
        Assert.Equal(0, await server.ExitAsync());

        await using var next = await ServeAsync("30s");
        using var again = await ReadAsync(next, key, id);
        var kept = await SeenStream.ReadAsync(again, Cancel);
        Assert.Equal("first last", kept.Events[^1].Json.GetProperty("generation").GetProperty("output_text").GetString());
        Assert.Equal(1, kept.Events[^1].Json.GetProperty("generation").GetProperty("runs").GetInt32());
    }

    [Fact]
    public async Task Terminate_DrainTimeout_HandsOverStoredStream()
    {
        await using var server = await ServeAsync("300ms");
        var key = await server.ClientKeyAsync();
        using var open = await KeyedAsync(server, key);
        var id = open.Headers.GetValues("Fairlead-Generation").Single();
        // The headers come before the first run has reached its provider.
        await _asked.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        await server.SignalAsync("TERM");
        var cut = await SeenStream.ReadAsync(open, Cancel);
        // No end that looks like one: the reader comes back with the last number it has.
        Assert.True(cut.Broken);
        Assert.DoesNotContain(cut.Events, seen => seen.Name is "generation.completed" or "generation.failed" or "generation.cancelled");
        Assert.Equal(0, await server.ExitAsync());
        _goOn.SetResult();

        await using var next = await ServeAsync("30s");
        using var again = await ReadAsync(next, key, id);
        var kept = await SeenStream.ReadAsync(again, Cancel);
        Assert.Equal(cut.Events.Select(seen => seen.Data), kept.Events.Take(cut.Events.Count).Select(seen => seen.Data));
        Assert.Equal("first last", kept.Events[^1].Json.GetProperty("generation").GetProperty("output_text").GetString());
        Assert.Equal(2, kept.Events[^1].Json.GetProperty("generation").GetProperty("runs").GetInt32());
        // Its key is not free: it leads to the generation, once the lease of the process that is gone has run out.
        while (true)
        {
            using var repeated = await KeyedAsync(next, key);
            if (repeated.StatusCode == HttpStatusCode.Conflict)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
                continue;
            }
            Assert.Equal(HttpStatusCode.Accepted, repeated.StatusCode);
            Assert.Equal(id, repeated.Headers.GetValues("Fairlead-Generation").Single());
            break;
        }
        Assert.Equal(2, _upstream.Received.Count);
    }

    private static Task<HttpResponseMessage> KeyedAsync(ServerProcess server, string key)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"{server.Address}/v2/generations") { Content = new StringContent(Kept, System.Text.Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", key);
        request.Headers.Add("Idempotency-Key", "kept");
        return server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
    }

    [Fact]
    public async Task Terminate_ClientsWaitingForJob_GetResponseAtDrainTimeout()
    {
        await using var server = await ServeAsync("300ms");
        var key = await server.ClientKeyAsync();
        var id = await JobAsync(server, key, "respond-async");
        var waiting = GetAsync(server, key, $"/v2/generations/{id}?wait=60");
        var result = GetAsync(server, key, $"/v2/generations/{id}/result?wait=60");
        await UntilRunningAsync(server, key, id);
        await server.SignalAsync("TERM");
        using (var state = await waiting)
        {
            Assert.Equal(HttpStatusCode.OK, state.StatusCode);
            Assert.NotNull(state.Headers.RetryAfter);
        }
        using (var early = await result) Assert.Equal(HttpStatusCode.Conflict, early.StatusCode);
        Assert.Equal(0, await server.ExitAsync());
        _goOn.SetResult();

        await using var next = await ServeAsync("30s");
        await EndsAsync(next, key, id);
    }

    [Fact]
    public async Task Terminate_HybridWaitAtDrainTimeout_BecomesJobFinishedByNextProcess()
    {
        await using var server = await ServeAsync("300ms");
        var key = await server.ClientKeyAsync();
        var answer = JobAsync(server, key, "respond-async, wait=60", "\"hybrid\"");
        await _asked.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        await server.SignalAsync("TERM");
        var id = await answer;
        Assert.Equal(0, await server.ExitAsync());
        _goOn.SetResult();

        await using var next = await ServeAsync("30s");
        await EndsAsync(next, key, id);
        // A repeated request returns the job that the first request became.
        Assert.Equal(id, await JobAsync(next, key, "respond-async, wait=60", "hybrid"));
    }

    private static async Task<string> JobAsync(ServerProcess server, string key, string prefer, string? idempotencyKey = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{server.Address}/v1/chat/completions") { Content = new StringContent(Whole, System.Text.Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", key);
        request.Headers.Add("Prefer", prefer);
        if (idempotencyKey is not null) request.Headers.Add("Idempotency-Key", idempotencyKey);
        using var response = await server.Client.SendAsync(request, Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, $"{response.StatusCode} {await response.Content.ReadAsStringAsync(Cancel)}");
        return response.Headers.GetValues("Fairlead-Generation").Single();
    }

    private static async Task UntilRunningAsync(ServerProcess server, string key, string id)
    {
        while (true)
        {
            using var response = await GetAsync(server, key, $"/v2/generations/{id}");
            if ((await response.Content.ReadAsStringAsync(Cancel)).Contains("first", StringComparison.Ordinal)) return;
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }
    }

    /// <summary>It is run once more, and ends.</summary>
    private static async Task EndsAsync(ServerProcess server, string key, string id)
    {
        using var response = await GetAsync(server, key, $"/v2/generations/{id}?wait=60");
        var done = System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement;
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal("first last", done.GetProperty("output_text").GetString());
        Assert.Equal(2, done.GetProperty("runs").GetInt32());
    }

    private static Task<HttpResponseMessage> GetAsync(ServerProcess server, string key, string path)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, server.Address + path);
        request.Headers.Authorization = new("Bearer", key);
        return server.Client.SendAsync(request, Cancel);
    }

    private static Task<HttpResponseMessage> ReadAsync(ServerProcess server, string key, string id)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, $"{server.Address}/v2/generations/{id}/events");
        request.Headers.Authorization = new("Bearer", key);
        return server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
    }

    [Fact]
    public async Task Terminate_DrainTimeout_EndsStreamWithErrorEvent()
    {
        await using var server = await ServeAsync("300ms");
        using var open = await ProcessCalls.PostAsync(server, await server.ClientKeyAsync(), Body);
        Assert.Equal(HttpStatusCode.OK, open.StatusCode);

        await server.SignalAsync("TERM");
        var stream = await SeenStream.ReadAsync(open, Cancel);
        Assert.True(stream.Broken, stream.Raw);
        Assert.Equal("shutting_down", stream.Events[^1].Json.GetProperty("error").GetProperty("code").GetString());
        Assert.DoesNotContain("[DONE]", stream.Raw, StringComparison.Ordinal);
        Assert.Equal(0, await server.ExitAsync());
        await _left.Task.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System, Cancel);

        await using var next = await ServeAsync("30s");
        var record = Assert.Single(await AuditSight.RecordsAsync(next));
        Assert.NotEqual("complete", record.GetProperty("outcome").GetString());
        Assert.Equal("shutting_down", record.GetProperty("error_code").GetString());
        Assert.True(AuditSight.Tokens(record, "output_tokens") > 0, record.GetRawText());
    }

    private async Task<ServerProcess> ServeAsync(string limit)
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml() + $"\n  drainTimeout: {limit}\n  jobs: {{ lease: 2s }}\n", Cancel);
        return await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey));
    }

    private static async Task ProbeUntilAsync(ServerProcess server, HttpStatusCode status)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            using var ready = await server.GetAsync("/readyz");
            if (ready.StatusCode == status) return;
            Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(2), "/readyz still answers " + ready.StatusCode);
        }
    }
}

using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Generations;

public sealed class SqliteJobTests() : JobTests(StorageProvider.Sqlite);

public sealed class PostgresJobTests() : JobTests(StorageProvider.Postgres);

/// <summary>Jobs and hybrids over HTTP. The tests hold and release the responses of the model server.</summary>
public abstract class JobTests : IAsyncLifetime
{
    private const string Chat = """{"model":"m","messages":[{"role":"user","content":"hi"}]}""";

    private FakeUpstream _upstream = null!;
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected JobTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context => StreamAsync(context, "hello ", "world");
        _gateway = await TestGateway.StartAsync(_store, _upstream.Yaml() + """

              jobs: { backoff: 1ms }
              retry: { maxRetries: 0 }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task RespondAsync_Chat_Returns202AndResultInClientDialect()
    {
        using var accepted = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Chat, [("Prefer", "respond-async")], HttpCompletionOption.ResponseContentRead);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        Assert.Equal("respond-async", accepted.Headers.GetValues("Preference-Applied").Single());
        Assert.Contains("Prefer", accepted.Headers.Vary);
        Assert.NotNull(accepted.Headers.RetryAfter);
        var job = await JsonAsync(accepted);
        var id = job.GetProperty("id").GetString()!;
        Assert.Equal("queued", job.GetProperty("status").GetString());
        Assert.Equal($"/v2/generations/{id}", accepted.Headers.Location!.OriginalString);

        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal("complete", done.GetProperty("outcome").GetString());
        Assert.Equal("hello world", done.GetProperty("output_text").GetString());
        Assert.Equal(11, done.GetProperty("usage").GetProperty("input_tokens").GetInt64());
        Assert.Equal(JsonValueKind.Null, done.GetProperty("error").ValueKind);

        var result = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result");
        Assert.Equal("chat.completion", result.GetProperty("object").GetString());
        Assert.Equal("hello world", result.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        Assert.Equal(id, result.GetProperty("fairlead").GetProperty("generation_id").GetString());
        await BalancedAsync();
        Assert.Single(await AuditAsync(id));
    }

    [Fact]
    public async Task RespondAsync_VendorSpecificFields_ArePassedThrough()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("native"));
        var id = await AcceptAsync("""{"model":"m","messages":[{"role":"user","content":"hi"}],"vendor_option":{"a":1}}""");
        Assert.Equal("completed", (await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60")).GetProperty("status").GetString());
        var result = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result");
        Assert.True(result.GetProperty("choices")[0].GetProperty("message").GetProperty("vendor_note").GetProperty("kept").GetBoolean());
        Assert.Equal(1, _upstream.Received.Last().GetProperty("vendor_option").GetProperty("a").GetInt32());
    }

    [Fact]
    public async Task RespondAsync_Embeddings_RunsAsJob()
    {
        var id = await AcceptAsync("""{"model":"sim-embed","input":["a","b"]}""", "/v1/embeddings");
        await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        Assert.Equal(2, (await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result")).GetProperty("data").GetArrayLength());
    }

    [Fact]
    public async Task RespondAsync_Messages_ReturnsMessageFormat()
    {
        var id = await AcceptAsync("""{"model":"sim-echo","max_tokens":50,"messages":[{"role":"user","content":"knots"}]}""", "/v1/messages");
        await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        var result = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result");
        Assert.Equal("message", result.GetProperty("type").GetString());
        Assert.Equal("knots", result.GetProperty("content")[0].GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("""{"model":"nothing","messages":[{"role":"user","content":"hi"}]}""", HttpStatusCode.NotFound)]
    [InlineData("""{"model":"m","messages":[]}""", HttpStatusCode.BadRequest)]
    public async Task RespondAsync_InvalidRequest_IsRefusedImmediately(string body, HttpStatusCode status)
    {
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", body, [("Prefer", "respond-async")], HttpCompletionOption.ResponseContentRead);
        Assert.Equal(status, response.StatusCode);
        Assert.True((await JsonAsync(response)).TryGetProperty("error", out _));
        await BalancedAsync();
    }

    [Fact]
    public async Task Wait_ResultWithinWait_Returns200()
    {
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Chat, [("Prefer", "respond-async, wait=60")], HttpCompletionOption.ResponseContentRead);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("respond-async", response.Headers.GetValues("Preference-Applied").Single());
        var answer = await JsonAsync(response);
        Assert.Equal("hello world", answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        await BalancedAsync();
        Assert.Single(await AuditAsync(answer.GetProperty("fairlead").GetProperty("generation_id").GetString()!));
    }

    [Fact]
    public async Task Wait_ResultAfterWait_Returns202AndSameGenerationContinues()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"so far"}"""));
            await gate.Task.WaitAsync(Cancel);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":" and on"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Chat, [("Prefer", "respond-async, wait=1")], HttpCompletionOption.ResponseContentRead);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        var id = (await JsonAsync(response)).GetProperty("id").GetString()!;
        var running = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}");
        Assert.Equal("in_progress", running.GetProperty("status").GetString());
        Assert.Equal("so far", running.GetProperty("output_text").GetString());
        using (var early = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/result", UriKind.Relative), Cancel)) Assert.Equal(HttpStatusCode.Conflict, early.StatusCode);

        gate.SetResult();
        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        Assert.Equal("so far and on", done.GetProperty("output_text").GetString());
        Assert.Single(_upstream.Received);
        Assert.Single(await AuditAsync(id));
        await BalancedAsync();
    }

    [Fact]
    public async Task Queue_ManyStoredStreamsRunning_StillRunsJobs()
    {
        var gate = new TaskCompletionSource();
        var asked = 0;
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"x"}"""));
            if (Interlocked.Increment(ref asked) <= 3) await gate.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var gateway = await TestGateway.StartAsync(_store, _upstream.Yaml() + """

              jobs: { workers: 1 }
            """);
        var streams = new List<HttpResponseMessage>();
        for (var i = 0; i < 3; i++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v2/generations")
            {
                Content = new StringContent("""{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""", Encoding.UTF8, "application/json"),
            };
            var stream = await gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
            Assert.Equal(HttpStatusCode.OK, stream.StatusCode);
            streams.Add(stream);
        }
        while (Volatile.Read(ref asked) < 3) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        var id = (await gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"job"}}""")).GetProperty("id").GetString();
        var done = await gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=30", UriKind.Relative), Cancel);
        Assert.Equal("completed", JsonDocument.Parse(done).RootElement.GetProperty("status").GetString());
        gate.SetResult();
        foreach (var stream in streams)
        {
            Assert.Contains("generation.completed", await stream.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
            stream.Dispose();
        }
    }

    [Fact]
    public async Task Wait_ErrorWithinWait_ReturnsErrorStatus()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 400);
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Chat, [("Prefer", "respond-async, wait=60")], HttpCompletionOption.ResponseContentRead);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("provider_rejected", (await JsonAsync(response)).GetProperty("error").GetProperty("code").GetString());
        await BalancedAsync();
    }

    [Fact]
    public async Task Cancel_RunningJob_StopsUpstreamAndEndsCancelled()
    {
        var began = new TaskCompletionSource();
        var closed = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"never"}"""));
            began.TrySetResult();
            await using var registration = context.RequestAborted.Register(() => closed.TrySetResult());
            await closed.Task.WaitAsync(Cancel);
        };
        var id = await AcceptAsync(Chat);
        await began.Task.WaitAsync(Cancel);
        await CancelAsync(id);
        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        Assert.Equal("cancelled", done.GetProperty("status").GetString());
        await closed.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancel);
        await BalancedAsync();
        Assert.Equal("cancelled", Assert.Single(await AuditAsync(id)).GetProperty("outcome").GetString());
        // Once more changes nothing.
        Assert.Equal("cancelled", (await CancelAsync(id)).GetProperty("status").GetString());
    }

    [Fact]
    public async Task Job_TransientFailure_IsRunAgainWithOneRecordPerRun()
    {
        var calls = 0;
        _upstream.Answer = context => Interlocked.Increment(ref calls) == 1
            ? FakeUpstream.Json(context, """{"error":{"message":"later","type":"server_error"}}""", 503)
            : StreamAsync(context, "second");
        var id = await AcceptAsync(Chat);
        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal(2, done.GetProperty("runs").GetInt32());
        Assert.Equal(["complete", "failed"], (await AuditAsync(id)).Select(record => record.GetProperty("outcome").GetString()!).Order());
        await BalancedAsync();
    }

    [Fact]
    public async Task PersistentFailure_AfterMaxRuns_ReturnsErrorInBothShapes()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"later","type":"server_error"}}""", 503);
        var id = await AcceptAsync(Chat);
        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        Assert.Equal("failed", done.GetProperty("status").GetString());
        Assert.Equal(3, done.GetProperty("runs").GetInt32());
        Assert.Equal(3, _upstream.Received.Count);
        var code = done.GetProperty("error").GetProperty("code").GetString();
        using var response = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/result", UriKind.Relative), Cancel);
        Assert.Equal(done.GetProperty("error").GetProperty("status").GetInt32(), (int)response.StatusCode);
        Assert.Equal(code, (await JsonAsync(response)).GetProperty("error").GetProperty("code").GetString());
        await BalancedAsync();
    }

    [Fact]
    public async Task Generation_OfAnotherProject_IsNotVisible()
    {
        var id = await AcceptAsync(Chat);
        await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        using var other = _gateway.MakeClient(key.GetProperty("secret").GetString());
        foreach (var path in new[] { "", "/result" })
        {
            using var response = await other.GetAsync(new Uri($"/v2/generations/{id}{path}", UriKind.Relative), Cancel);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }
        using var cancel = await other.PostAsync(new Uri($"/v2/generations/{id}/cancel", UriKind.Relative), null, Cancel);
        Assert.Equal(HttpStatusCode.NotFound, cancel.StatusCode);
        using var list = await other.GetAsync(new Uri("/v2/generations", UriKind.Relative), Cancel);
        Assert.Equal(0, (await JsonAsync(list)).GetProperty("data").GetArrayLength());
    }

    [Fact]
    public async Task List_WithCursor_ReturnsNewestFirst()
    {
        var ids = new List<string>();
        for (var i = 0; i < 5; i++) ids.Add(await AcceptAsync(Chat));
        foreach (var id in ids) await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        var seen = new List<string>();
        string? cursor = null;
        do
        {
            var page = await _gateway.Client.GetJsonAsync($"/v2/generations?limit=2&status=completed{(cursor is null ? "" : "&cursor=" + cursor)}");
            seen.AddRange(page.GetProperty("data").EnumerateArray().Select(row => row.GetProperty("id").GetString()!));
            cursor = page.GetProperty("next_cursor").GetString();
        }
        while (cursor is not null);
        Assert.Equal(ids.AsEnumerable().Reverse(), seen);

        // By time too, to the moment.
        var second = (await _gateway.Client.GetJsonAsync($"/v2/generations/{ids[1]}")).GetProperty("created_at").GetString()!;
        async Task<IEnumerable<string>> Listed(string filter) => (await _gateway.Client.GetJsonAsync($"/v2/generations?{filter}={Uri.EscapeDataString(second)}")).GetProperty("data").EnumerateArray().Select(row => row.GetProperty("id").GetString()!);
        var (later, earlier) = (await Listed("created_after"), await Listed("created_before"));
        Assert.Contains(ids[1], later);
        Assert.DoesNotContain(ids[1], earlier);
        Assert.Equal(ids.Order(StringComparer.Ordinal), later.Concat(earlier).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("?wait=61")]
    [InlineData("?wait=x")]
    [InlineData("?else=1")]
    public async Task Get_InvalidQueryParameter_Returns400(string query)
    {
        using var response = await _gateway.Client.GetAsync(new Uri($"/v2/generations/gen_x{query}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
    }

    [Fact]
    public async Task JobQueue_FiveHundredJobsAndEightWorkers_RunsEachJobExactlyOnce()
    {
        var asked = new ConcurrentDictionary<string, int>();
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var (running, most) = (0, 0);
        _upstream.Answer = async context =>
        {
            var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
            asked.AddOrUpdate(request.GetProperty("messages")[0].GetProperty("content").GetString()!, 1, (_, count) => count + 1);
            var now = Interlocked.Increment(ref running);
            for (var seen = Volatile.Read(ref most); now > seen; seen = Volatile.Read(ref most)) Interlocked.CompareExchange(ref most, now, seen);
            await gate.Task.WaitAsync(Cancel);
            Interlocked.Decrement(ref running);
            await StreamAsync(context, "done");
        };
        var ids = new ConcurrentBag<string>();
        await Parallel.ForEachAsync(Enumerable.Range(0, 500), new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Cancel }, async (number, _) =>
            ids.Add(await AcceptAsync($$"""{"model":"m","messages":[{"role":"user","content":"n{{number}}"}]}""")));
        // All of them are there before the first one ends.
        while (Volatile.Read(ref running) < 8) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        Assert.Equal(8, asked.Count);
        gate.SetResult();
        await Parallel.ForEachAsync(ids, new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Cancel }, async (id, _) =>
        {
            JsonElement state;
            do state = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
            while (state.GetProperty("status").GetString() is "queued" or "in_progress");
            Assert.Equal("completed", state.GetProperty("status").GetString());
        });
        Assert.Equal(500, asked.Count);
        Assert.All(asked, pair => Assert.Equal(1, pair.Value));
        Assert.Equal(8, most);
        await BalancedAsync();
    }

    private static async Task StreamAsync(HttpContext context, params string[] texts)
    {
        await FakeUpstream.BeginAsync(context);
        foreach (var text in texts) await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":{{JsonSerializer.Serialize(text)}}}"""));
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }

    private static async Task<JsonElement> JsonAsync(HttpResponseMessage response) => JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement;

    private async Task<string> AcceptAsync(string body, string path = "/v1/chat/completions")
    {
        using var response = await _gateway.Client.PostJsonAsync(path, body, [("Prefer", "respond-async")], HttpCompletionOption.ResponseContentRead);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        return (await JsonAsync(response)).GetProperty("id").GetString()!;
    }

    private async Task<JsonElement> CancelAsync(string id)
    {
        using var response = await _gateway.Client.PostAsync(new Uri($"/v2/generations/{id}/cancel", UriKind.Relative), null, Cancel);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await JsonAsync(response);
    }

    private async Task<IReadOnlyList<JsonElement>> AuditAsync(string id)
    {
        using var response = await _gateway.Admin.GetAsync(new Uri($"/admin/v1/audit?generation_id={id}", UriKind.Relative), Cancel);
        return [.. (await JsonAsync(response)).GetProperty("data").EnumerateArray()];
    }

    /// <summary>Nothing is held and nothing runs once everybody has ended.</summary>
    private async Task BalancedAsync()
    {
        var ledger = (InMemoryTokenLedger)_gateway.Services.GetRequiredService<ITokenLedger>();
        var drain = _gateway.Services.GetRequiredService<DrainState>();
        for (var i = 0; ledger.Totals().Open > 0 || drain.Active > 0; i++)
        {
            Assert.True(i < 4000, $"{ledger.Totals().Open} reservations are held, {drain.Active} calls are open.");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        }
    }
}

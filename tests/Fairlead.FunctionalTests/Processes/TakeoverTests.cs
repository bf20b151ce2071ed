using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>Two programs on one PostgreSQL: they share the queue, and what one of them leaves behind the other brings to its end.</summary>
public sealed class TakeoverTests : IAsyncLifetime
{
    private const int Jobs = 24;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-takeover").FullName;
    private readonly string _postgres = TestPostgres.CreateDatabase();
    private FakeUpstream _upstream = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        TestPostgres.DropDatabase(_postgres);
    }

    [Fact]
    public async Task TwoProcesses_SharedQueue_SurvivorFinishesJobsOfCrashedOne()
    {
        var held = new TaskCompletionSource();
        var running = 0;
        _upstream.Answer = async context =>
        {
            var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
            var text = request.GetProperty("messages")[0].GetProperty("content").GetString()!;
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{text[..2]}}"}"""));
            Interlocked.Increment(ref running);
            await held.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{text[2..]}}"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var dying = await ServeAsync("a");
        var key = await dying.ClientKeyAsync();
        await using var living = await ServeAsync("b");
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(100) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", key);

        // All are taken by one; both have room for four at a time.
        var ids = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < Jobs; i++)
        {
            var text = $"job number {i}";
            using var answer = await client.PostAsync(new Uri(dying.Address + "/v2/generations"), Json($$$"""{"model":"m","input":"{{{text}}}","delivery":{"mode":"job"}}"""), Cancel);
            Assert.Equal(202, (int)answer.StatusCode);
            ids[JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("id").GetString()!] = text;
        }
        using var streamed = await client.SendAsync(
            new HttpRequestMessage(HttpMethod.Post, dying.Address + "/v2/generations") { Content = Json("""{"model":"m","input":"a stream","delivery":{"mode":"stream","on_disconnect":"continue"}}""") },
            HttpCompletionOption.ResponseHeadersRead,
            Cancel);
        var stream = streamed.Headers.GetValues("Fairlead-Generation").Single();
        await foreach (var item in SseParser.Create(await streamed.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
        {
            if (item.Data.Contains("output.text.delta", StringComparison.Ordinal)) break;
        }
        // More than one program has room for: the other has taken its share.
        while (Volatile.Read(ref running) < 9) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancel);
        await dying.KillAsync();
        held.SetResult();

        foreach (var (id, text) in ids)
        {
            JsonElement state;
            do state = JsonDocument.Parse(await client.GetStringAsync(new Uri($"{living.Address}/v2/generations/{id}?wait=60"), Cancel)).RootElement;
            while (state.GetProperty("status").GetString() is "queued" or "in_progress");
            Assert.Equal(("completed", text), (state.GetProperty("status").GetString(), state.GetProperty("output_text").GetString()));
        }
        using var response = await client.GetAsync(new Uri($"{living.Address}/v2/generations/{stream}/events"), HttpCompletionOption.ResponseHeadersRead, Cancel);
        var events = new List<JsonElement>();
        await foreach (var item in SseParser.Create(await response.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel)) events.Add(JsonDocument.Parse(item.Data).RootElement);
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(seen => seen.GetProperty("sequence_number").GetInt32()));
        Assert.Contains(events, seen => seen.GetProperty("type").GetString() == "generation.restarted");
        Assert.Equal("a stream", events[^1].GetProperty("generation").GetProperty("output_text").GetString());
    }

    /// <summary>A stored call that ends with its client is not run again by the survivor: nobody waits for it. One that continues is.</summary>
    [Fact]
    public async Task TwoProcesses_StoredWholeResponses_SurvivorRunsOnlyThoseThatContinue()
    {
        var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var sent = new SemaphoreSlim(0);
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"half"}"""));
            sent.Release();
            await held.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":" whole"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var dying = await ServeAsync("a");
        var key = await dying.ClientKeyAsync();
        await using var living = await ServeAsync("b");
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(100) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", key);
        string[] deliveries = ["\"cancel\"", "\"continue\""];
        var waiting = deliveries.Select(leaving => client.PostAsync(
            new Uri(dying.Address + "/v2/generations"),
            Json($$$"""{"model":"m","input":"x","store":true,"metadata":{"leaving":{{{leaving}}}},"delivery":{"mode":"sync","on_disconnect":{{{leaving}}}}}"""), Cancel)).ToArray();
        foreach (var _ in waiting) await sent.WaitAsync(Cancel);
        await dying.KillAsync();
        foreach (var one in waiting) await Assert.ThrowsAnyAsync<HttpRequestException>(() => one);
        held.SetResult();

        Assert.Equal(("failed", null), await EndAsync("cancel"));
        Assert.Equal(("completed", "half whole"), await EndAsync("continue"));
        Assert.Equal(3, _upstream.Received.Count);

        async Task<(string?, string?)> EndAsync(string leaving)
        {
            var list = JsonDocument.Parse(await client.GetStringAsync(new Uri($"{living.Address}/v2/generations?metadata.leaving={leaving}"), Cancel)).RootElement;
            var id = Assert.Single(list.GetProperty("data").EnumerateArray()).GetProperty("id").GetString();
            JsonElement state;
            do state = JsonDocument.Parse(await client.GetStringAsync(new Uri($"{living.Address}/v2/generations/{id}?wait=60"), Cancel)).RootElement;
            while (state.GetProperty("status").GetString() is "queued" or "in_progress");
            return (state.GetProperty("status").GetString(), state.GetProperty("output_text").GetString());
        }
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private async Task<ServerProcess> ServeAsync(string name)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), _upstream.Yaml() + """

              jobs: { lease: 1s, maxRuns: 50, workers: 4 }
            """, Cancel);
        return await ServerProcess.ServeAsync(folder, ("Fairlead__Storage__ConnectionString", _postgres));
    }
}

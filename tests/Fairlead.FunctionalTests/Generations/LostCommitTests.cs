using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Generations;

/// <summary>
/// A gateway whose PostgreSQL commits and loses the response. Clients get each stored result once, and a refused request never runs.
/// </summary>
public sealed class LostCommitTests : IAsyncLifetime
{
    private string _direct = null!;
    private LossyPostgres _database = null!;
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;
    private int _calls;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _direct = TestPostgres.CreateDatabase();
        _database = new LossyPostgres(_direct);
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context =>
        {
            Interlocked.Increment(ref _calls);
            return StreamAsync(context, "once");
        };
        _gateway = await TestGateway.StartOnAsync(_database.ConnectionString, _upstream.Yaml() + "\n  jobs: { lease: 2s }\n");
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        await _database.DisposeAsync();
        TestPostgres.DropDatabase(_direct);
    }

    [Fact]
    public async Task Job_CommitAcknowledgmentLost_IsAcceptedAndRunsOnce()
    {
        var lost = _database.LoseAsync("INSERT INTO generations ");
        var accepted = await _gateway.Client.PostForJsonAsync("/v2/generations", Job);
        await lost.WaitAsync(Cancel);
        var ended = await EndOfAsync(accepted.GetProperty("id").GetString()!);
        Assert.Equal(("completed", "once", 1), (ended.GetProperty("status").GetString(), ended.GetProperty("output_text").GetString(), _calls));
        Assert.Single(await ListAsync());
    }

    [Fact]
    public async Task Job_CommitAcknowledgmentLostAndDatabaseUnavailable_IsRefusedAndNeverRuns()
    {
        var lost = _database.LoseAsync("INSERT INTO generations ", closes: true);
        using (var refused = await _gateway.Client.PostJsonAsync("/v2/generations", Job))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        }
        await lost.WaitAsync(Cancel);
        _database.Open();
        await ReadyAsync();
        var ended = await EndOfAsync(Assert.Single(await ListAsync()).GetProperty("id").GetString()!);
        Assert.Equal(("failed", "store_unavailable", 0), (ended.GetProperty("status").GetString(), ended.GetProperty("error").GetProperty("code").GetString(), _calls));
    }

    [Fact]
    public async Task Stream_CommitAcknowledgmentLost_IsServed()
    {
        var lost = _database.LoseAsync("INSERT INTO generations ", alone: true);
        using var response = await _gateway.Client.PostJsonAsync("/v2/generations", """{"model":"m","input":"x","delivery":{"mode":"stream","on_disconnect":"continue"}}""");
        var seen = await SeenStream.ReadAsync(response, Cancel);
        await lost.WaitAsync(Cancel);
        Assert.Equal((HttpStatusCode.OK, "once", 1), (response.StatusCode, TextOf(seen), _calls));
    }

    [Fact]
    public async Task Events_CommitLost_AreSeenOnceOnEveryNode()
    {
        Task? lost = null;
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            lost = _database.LoseAsync("INSERT INTO generation_events ");
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"first "}"""));
            await lost.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"second"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v2/generations", """{"model":"m","input":"x","delivery":{"mode":"stream","on_disconnect":"continue"}}""");
        var here = await SeenStream.ReadAsync(response, Cancel);
        await lost!.WaitAsync(Cancel);
        Assert.Equal("first second", TextOf(here));
        // Read back from the database, as another node would.
        var id = response.Headers.GetValues("Fairlead-Generation").Single();
        using var kept = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, Cancel);
        var there = await SeenStream.ReadAsync(kept, Cancel);
        Assert.Equal("first second", TextOf(there));
        Assert.Equal(here.Events.Where(seen => seen.Id is not null).Select(seen => seen.Id), there.Events.Where(seen => seen.Id is not null).Select(seen => seen.Id));
    }

    [Fact]
    public async Task End_CommitLost_IsReportedOnce()
    {
        var lost = _database.LoseAsync("UPDATE generations SET status = $");
        var accepted = await _gateway.Client.PostForJsonAsync("/v2/generations", Job);
        await lost.WaitAsync(Cancel);
        var ended = await EndOfAsync(accepted.GetProperty("id").GetString()!);
        Assert.Equal(("completed", "once", 1), (ended.GetProperty("status").GetString(), ended.GetProperty("output_text").GetString(), _calls));
    }

    [Fact]
    public async Task IdempotencyKey_InsertResponseLost_RunsRequestOnce()
    {
        _upstream.Answer = context =>
        {
            Interlocked.Increment(ref _calls);
            return FakeUpstream.Json(context, FakeUpstream.Completion("once"));
        };
        var lost = _database.LoseAsync("INSERT INTO idempotency_keys", alone: true);
        using var first = await ChatAsync("key-1");
        await lost.WaitAsync(Cancel);
        using var repeated = await ChatAsync("key-1");
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK, 1), (first.StatusCode, repeated.StatusCode, _calls));
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancel), await repeated.Content.ReadAsStringAsync(Cancel));
    }

    [Fact]
    public async Task IdempotencyKey_InsertResponseLostAndDatabaseUnavailable_IsReleasedAfterRecovery()
    {
        _upstream.Answer = context =>
        {
            Interlocked.Increment(ref _calls);
            return FakeUpstream.Json(context, FakeUpstream.Completion("once"));
        };
        var lost = _database.LoseAsync("INSERT INTO idempotency_keys", alone: true, closes: true);
        using (var refused = await ChatAsync("key-1"))
        {
            Assert.Equal((HttpStatusCode.ServiceUnavailable, 0), (refused.StatusCode, _calls));
        }
        await lost.WaitAsync(Cancel);
        _database.Open();
        await ReadyAsync();
        HttpResponseMessage again;
        // In progress until this node has freed it.
        do again = await ChatAsync("key-1");
        while (again.StatusCode is HttpStatusCode.Conflict or HttpStatusCode.ServiceUnavailable);
        using (again) Assert.Equal((HttpStatusCode.OK, 1), (again.StatusCode, _calls));
    }

    [Fact]
    public async Task Webhook_CommitAcknowledgmentLost_IsCreatedOnce()
    {
        var lost = _database.LoseAsync("INSERT INTO webhooks");
        var made = await _gateway.Client.PostForJsonAsync("/v2/webhooks", """{"url":"https://example.com/hook"}""");
        await lost.WaitAsync(Cancel);
        Assert.False(string.IsNullOrEmpty(made.GetProperty("secret").GetString()));
        var list = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri("/v2/webhooks", UriKind.Relative), Cancel)).RootElement;
        Assert.Equal(made.GetProperty("id").GetString(), Assert.Single(list.GetProperty("data").EnumerateArray().ToArray()).GetProperty("id").GetString());
    }

    [Fact]
    public async Task Response_CommitAcknowledgmentLost_IsStored()
    {
        var lost = _database.LoseAsync("INSERT INTO stored_responses", alone: true);
        var made = await _gateway.Client.PostForJsonAsync("/v1/responses", """{"model":"sim-echo","input":"x"}""");
        await lost.WaitAsync(Cancel);
        Assert.True(made.GetProperty("store").GetBoolean());
        using var found = await _gateway.Client.GetAsync(new Uri($"/v1/responses/{made.GetProperty("id").GetString()}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.OK, found.StatusCode);
    }

    [Fact]
    public async Task Batch_EveryCommitLost_RunsOnceAndKeepsFiles()
    {
        _upstream.Answer = context =>
        {
            Interlocked.Increment(ref _calls);
            return FakeUpstream.Json(context, FakeUpstream.Completion("once"));
        };
        Task[] lost =
        [
            _database.LoseAsync("INSERT INTO files "), _database.LoseAsync("UPDATE files SET status = 'ready'"), _database.LoseAsync("INSERT INTO batches "),
            _database.LoseAsync("UPDATE batches SET fed_lines = $"), _database.LoseAsync("UPDATE batches SET status = $"),
        ];
        var file = await UploadAsync();
        var batch = await _gateway.Client.PostForJsonAsync("/v1/batches", $$"""{"input_file_id":"{{file}}","endpoint":"/v1/chat/completions","completion_window":"24h"}""");
        await Task.WhenAll(lost).WaitAsync(Cancel);

        var path = new Uri($"/v1/batches/{batch.GetProperty("id").GetString()}", UriKind.Relative);
        do batch = JsonDocument.Parse(await _gateway.Client.GetStringAsync(path, Cancel)).RootElement;
        while (batch.GetProperty("status").GetString() is "validating" or "in_progress" or "finalizing");
        Assert.Equal("completed", batch.GetProperty("status").GetString());
        var output = await _gateway.Client.GetStringAsync(new Uri($"/v1/files/{batch.GetProperty("output_file_id").GetString()}/content", UriKind.Relative), Cancel);
        Assert.Equal(2, output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Equal(2, _calls);
        var batches = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri("/v1/batches", UriKind.Relative), Cancel)).RootElement;
        Assert.Single(batches.GetProperty("data").EnumerateArray().ToArray());
    }

    [Fact]
    public async Task Batch_CommitLostAndDatabaseDown_IsRefusedAndCancelled()
    {
        var file = await UploadAsync();
        var lost = _database.LoseAsync("INSERT INTO batches", closes: true);
        using (var refused = await _gateway.Client.PostAsync(new Uri("/v1/batches", UriKind.Relative), Body($$"""{"input_file_id":"{{file}}","endpoint":"/v1/chat/completions","completion_window":"24h"}"""), Cancel))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        }
        await lost.WaitAsync(Cancel);
        _database.Open();
        await ReadyAsync();
        JsonElement batch;
        do batch = Assert.Single(JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri("/v1/batches", UriKind.Relative), Cancel)).RootElement.GetProperty("data").EnumerateArray().ToArray());
        while (batch.GetProperty("status").GetString() is "validating" or "in_progress" or "cancelling" or "finalizing");
        Assert.Equal(("cancelled", 0), (batch.GetProperty("status").GetString(), _calls));
    }

    private const string Job = """{"model":"m","input":"x","delivery":{"mode":"job"}}""";

    private static async Task StreamAsync(Microsoft.AspNetCore.Http.HttpContext context, string text)
    {
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{text}}"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }

    private static string TextOf(SeenStream seen) => string.Concat(seen.Events.Where(made => made.Name == "output.text.delta").Select(made => made.Json.GetProperty("text").GetString()));

    private static StringContent Body(string json) => new(json, Encoding.UTF8, "application/json");

    private async Task<HttpResponseMessage> ChatAsync(string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = Body("""{"model":"m","messages":[{"role":"user","content":"x"}]}""") };
        request.Headers.Add("Idempotency-Key", key);
        return await _gateway.Client.SendAsync(request, Cancel);
    }

    private async Task<string> UploadAsync()
    {
        using var form = new MultipartFormDataContent { { new StringContent("batch"), "purpose" } };
        const string Line = """{"custom_id":"NUMBER","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"NUMBER"}]}}""";
        var lines = string.Concat(((string[])["1", "2"]).Select(number => Line.Replace("NUMBER", number, StringComparison.Ordinal) + "\n"));
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(lines));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/jsonl");
        form.Add(content, "file", "in.jsonl");
        using var response = await _gateway.Client.PostAsync(new Uri("/v1/files", UriKind.Relative), form, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!;
    }

    private async Task<JsonElement[]> ListAsync() =>
        [.. JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri("/v2/generations", UriKind.Relative), Cancel)).RootElement.GetProperty("data").EnumerateArray()];

    private async Task<JsonElement> EndOfAsync(string id)
    {
        JsonElement state;
        do state = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=30", UriKind.Relative), Cancel)).RootElement;
        while (state.GetProperty("status").GetString() is "queued" or "in_progress");
        return state;
    }

    /// <summary>Every pooled connection that broke has been met.</summary>
    private async Task ReadyAsync()
    {
        while (true)
        {
            using var response = await _gateway.Client.GetAsync(new Uri("/v2/generations?limit=1", UriKind.Relative), Cancel);
            if (response.IsSuccessStatusCode) return;
        }
    }
}

using System.Net;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Generations;

public sealed class SqliteResumeTests() : ResumeTests(StorageProvider.Sqlite);

public sealed class PostgresResumeTests() : ResumeTests(StorageProvider.Postgres);

/// <summary>Streams that are read again: from any event, by many readers, on another node, after a failed run.</summary>
public abstract class ResumeTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected ResumeTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_store, _upstream.Yaml() + Settings);
    }

    private const string Settings = """

          jobs: { backoff: 1ms }
          retry: { maxRetries: 0 }
        """;

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Stream_ClientDisconnects_ContinuesAndCanBeReadFromAnyEvent()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            for (var i = 0; i < 5; i++) await SendAsync(context, Chunk($$"""{"content":"w{{i}} "}"""));
            await gate.Task.WaitAsync(Cancel);
            for (var i = 5; i < 10; i++) await SendAsync(context, Chunk($$"""{"content":"w{{i}} "}"""));
            await SendAsync(context, Chunk("{}", "stop"), "[DONE]");
        };
        var seen = new List<string>();
        string id;
        using (var leaving = CancellationTokenSource.CreateLinkedTokenSource(Cancel))
        {
            using var response = await OpenAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"},"stream":{"batch_tokens":1}}""", leaving.Token);
            Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
            id = response.Headers.GetValues("Fairlead-Generation").Single();
            await foreach (var item in SseParser.Create(await response.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
            {
                seen.Add(item.Data);
                if (item.Data.Contains("w4 ", StringComparison.Ordinal)) break;
            }
        }
        // The generation is stored, continues without its client, and can be polled like any other.
        Assert.Equal("in_progress", (await _gateway.Client.GetJsonAsync($"/v2/generations/{id}")).GetProperty("status").GetString());
        gate.SetResult();

        var rest = await EventsAsync($"/v2/generations/{id}/events?after={seen.Count - 1}");
        var whole = await EventsAsync($"/v2/generations/{id}/events");
        Assert.Equal([.. seen, .. rest], whole);
        Assert.Equal(Enumerable.Range(0, whole.Count), whole.Select(data => Parse(data).GetProperty("sequence_number").GetInt32()));
        Assert.Equal("w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 ", TextOf(whole));
        var end = Parse(whole[^1]);
        Assert.Equal("generation.completed", end.GetProperty("type").GetString());
        var generation = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}");
        Assert.Equal(generation.GetRawText(), end.GetProperty("generation").GetRawText());
        Assert.Single(_upstream.Received);

        // The header wins: who comes back repeats the address and says how far it came.
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/generations/{id}/events?after=0");
        request.Headers.Add("Last-Event-ID", "3");
        Assert.Equal(whole[4..], await EventsAsync(request));
        using var nothing = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/events?after={whole.Count - 1}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NoContent, nothing.StatusCode);
    }

    [Theory]
    [InlineData("/v2/generations/{id}/events?after=-1", 400)]
    [InlineData("/v2/generations/{id}/events?after=x", 400)]
    [InlineData("/v2/generations/{id}/events?before=1", 400)]
    [InlineData("/v2/generations/gen_00000000000000000000000000/events", 404)]
    public async Task Events_InvalidQueryOrUnknownId_IsRefused(string path, int status)
    {
        var id = (await CreateAsync("""{"model":"sim-echo","input":"hi","delivery":{"mode":"job"}}""")).GetProperty("id").GetString();
        using var response = await _gateway.Client.GetAsync(new Uri(path.Replace("{id}", id, StringComparison.Ordinal), UriKind.Relative), Cancel);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
    }

    [Fact]
    public async Task Events_OtherProject_Returns404()
    {
        var id = (await CreateAsync("""{"model":"sim-echo","input":"hi","delivery":{"mode":"job"}}""")).GetProperty("id").GetString();
        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}","scopes":["chat"]}""");
        using var stranger = _gateway.MakeClient(key.GetProperty("secret").GetString());
        using var response = await stranger.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    [Fact]
    public async Task Events_Job_CanBeFollowedFromQueueToEnd()
    {
        var began = new TaskCompletionSource();
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            began.TrySetResult();
            await gate.Task.WaitAsync(Cancel);
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"late"}"""), Chunk("{}", "stop"), "[DONE]");
        };
        var id = (await CreateAsync("""{"model":"m","input":"hi","delivery":{"mode":"job"}}""")).GetProperty("id").GetString();
        await began.Task.WaitAsync(Cancel);
        var reading = EventsAsync($"/v2/generations/{id}/events");
        gate.SetResult();
        var events = await reading;
        Assert.Equal("late", TextOf(events));
        Assert.Equal(["generation.created", "generation.queued", "generation.started"], events.Take(3).Select(data => Parse(data).GetProperty("type").GetString()));
        Assert.Equal("generation.completed", Parse(events[^1]).GetProperty("type").GetString());
        Assert.Equal(events, await EventsAsync($"/v2/generations/{id}/events"));
    }

    [Fact]
    public async Task Run_RetriedAfterPartialOutput_EmitsGenerationRestarted()
    {
        var told = new TaskCompletionSource();
        var calls = 0;
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            if (Interlocked.Increment(ref calls) == 1)
            {
                await SendAsync(context, Chunk("""{"content":"half"}"""));
                await told.Task.WaitAsync(Cancel);
                return;
            }
            await SendAsync(context, Chunk("""{"content":"whole"}"""), Chunk("{}", "stop"), "[DONE]");
        };
        using var response = await OpenAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""", Cancel);
        var events = new List<string>();
        await foreach (var item in SseParser.Create(await response.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
        {
            events.Add(item.Data);
            if (item.Data.Contains("half", StringComparison.Ordinal)) told.TrySetResult();
        }
        Assert.Equal(["generation.created", "generation.started", "output.text.delta", "generation.restarted", "output.text.delta", "generation.completed"], events.Select(data => Parse(data).GetProperty("type").GetString()));
        Assert.Equal(2, Parse(events[3]).GetProperty("run").GetInt32());
        Assert.Equal("whole", Parse(events[^1]).GetProperty("generation").GetProperty("output_text").GetString());
        var id = response.Headers.GetValues("Fairlead-Generation").Single();
        Assert.Equal(events, await EventsAsync($"/v2/generations/{id}/events"));
    }

    [Fact]
    public async Task Response_BackgroundStream_CanBeReplayedFromAnyEvent()
    {
        using var response = await OpenAsync("/v1/responses", """{"model":"sim-echo","background":true,"stream":true,"input":"a bowline and a hitch","fairlead":{"batch_tokens":1}}""", Cancel);
        var whole = await ReadAsync(response);
        Assert.Equal("[DONE]", whole[^1]);
        var events = whole[..^1];
        Assert.Equal(["response.created", "response.queued", "response.in_progress"], events.Take(3).Select(data => Parse(data).GetProperty("type").GetString()));
        Assert.Equal("queued", Parse(events[0]).GetProperty("response").GetProperty("status").GetString());
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(data => Parse(data).GetProperty("sequence_number").GetInt32()));
        var end = Parse(events[^1]);
        Assert.Equal("response.completed", end.GetProperty("type").GetString());
        var id = end.GetProperty("response").GetProperty("id").GetString();
        Assert.Equal(id, Parse(events[0]).GetProperty("response").GetProperty("id").GetString());
        var item = events.Select(Parse).Single(seen => seen.GetProperty("type").GetString() == "response.output_item.done").GetProperty("item");
        Assert.Equal(item.GetRawText(), end.GetProperty("response").GetProperty("output")[0].GetRawText());

        Assert.Equal(whole, await EventsAsync($"/v1/responses/{id}?stream=true"));
        Assert.Equal(whole[5..], await EventsAsync($"/v1/responses/{id}?stream=true&starting_after=4"));
        var stored = await _gateway.Client.GetJsonAsync($"/v1/responses/{id}");
        Assert.Equal(stored.GetRawText(), end.GetProperty("response").GetRawText());
        var typed = await EventsAsync($"/v2/generations/gen_{id![5..]}/events");
        Assert.True(TextOf(typed) == "a bowline and a hitch", string.Join("\n", typed) + "\n" + string.Join("\n", whole));
    }

    [Fact]
    public async Task Response_BackgroundStreamBreaks_FailsWithoutRetry()
    {
        var told = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(
                context,
                """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_up","type":"message","status":"in_progress","role":"assistant","content":[]}}""",
                """{"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_up","output_index":0,"content_index":0,"delta":"half","logprobs":[]}""");
            await told.Task.WaitAsync(Cancel);
        };
        using var response = await OpenAsync("/v1/responses", """{"model":"m","background":true,"stream":true,"input":"hi"}""", Cancel);
        var events = new List<JsonElement>();
        await foreach (var item in SseParser.Create(await response.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
        {
            if (item.Data == "[DONE]") break;
            events.Add(Parse(item.Data));
            if (item.Data.Contains("half", StringComparison.Ordinal)) told.TrySetResult();
        }
        Assert.Equal(["response.output_text.delta", "response.output_item.done", "error", "response.failed"], events.ConvertAll(seen => seen.GetProperty("type").GetString())[^4..]);
        Assert.Equal("failed", events[^1].GetProperty("response").GetProperty("status").GetString());
        // Sent events cannot be withdrawn, so a run that broke after its first content is not started again.
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task Response_FromSameDialectProvider_KeepsEventsAndVendorFields()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(
                context,
                """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_up","type":"message","status":"in_progress","role":"assistant","content":[]}}""",
                """{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_up","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}""",
                """{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_up","output_index":0,"content_index":0,"delta":"hello","logprobs":[]}""",
                """{"type":"response.output_text.done","sequence_number":4,"item_id":"msg_up","output_index":0,"content_index":0,"text":"hello","logprobs":[]}""",
                """{"type":"response.content_part.done","sequence_number":5,"item_id":"msg_up","output_index":0,"content_index":0,"part":{"type":"output_text","text":"hello","annotations":[]}}""",
                """{"type":"response.output_item.done","sequence_number":6,"output_index":0,"item":{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}}""",
                """{"type":"response.completed","sequence_number":7,"response":{"id":"resp_up","object":"response","status":"completed","model":"x","vendor":{"x":1},"output":[{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}""");
        };
        using var response = await OpenAsync("/v1/responses", """{"model":"m","background":true,"stream":true,"input":"hi"}""", Cancel);
        var whole = await ReadAsync(response);
        Assert.EndsWith("/responses", _upstream.Paths.Single(), StringComparison.Ordinal);
        Assert.DoesNotContain("_up", string.Concat(whole), StringComparison.Ordinal);
        var events = whole[..^1].ConvertAll(Parse);
        Assert.Equal(
            [
                "response.created", "response.queued", "response.in_progress", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
                "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
            ],
            events.Select(seen => seen.GetProperty("type").GetString()));
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(seen => seen.GetProperty("sequence_number").GetInt32()));
        var end = events[^1].GetProperty("response");
        Assert.Equal("hello", end.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
        Assert.Equal(1, end.GetProperty("vendor").GetProperty("x").GetInt32());
        Assert.Equal(events[^2].GetProperty("item").GetProperty("id").GetString(), end.GetProperty("output")[0].GetProperty("id").GetString());
        Assert.Equal(whole, await EventsAsync($"/v1/responses/{end.GetProperty("id").GetString()}?stream=true"));
        Assert.Equal(end.GetRawText(), (await _gateway.Client.GetJsonAsync($"/v1/responses/{end.GetProperty("id").GetString()}")).GetRawText());
        // A later response can continue from it, as from any other stored response.
        var next = await CreateAsync($$"""{"model":"sim-echo","input":"more","previous_response_id":"{{end.GetProperty("id").GetString()}}"}""", "/v1/responses");
        Assert.Equal("completed", next.GetProperty("status").GetString());
    }

    [Fact]
    public async Task Response_BackgroundWithoutStream_ReplayAsStreamReturns400()
    {
        var made = await CreateAsync("""{"model":"sim-echo","background":true,"input":"hi"}""", "/v1/responses");
        using var response = await _gateway.Client.GetAsync(new Uri($"/v1/responses/{made.GetProperty("id").GetString()}?stream=true", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task Stream_BackgroundWithIdempotencyKey_IsReplayedByteForByte()
    {
        async Task<string> SendAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/responses") { Content = new StringContent("""{"model":"sim-echo","background":true,"stream":true,"input":"hi"}""", Encoding.UTF8, "application/json") };
            request.Headers.Add("Idempotency-Key", "resume-1");
            using var response = await _gateway.Client.SendAsync(request, Cancel);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            return await response.Content.ReadAsStringAsync(Cancel);
        }
        var first = await SendAsync();
        Assert.EndsWith("data: [DONE]\n\n", first, StringComparison.Ordinal);
        Assert.Equal(first, await SendAsync());
    }

    [Fact]
    public async Task EventStream_ThousandConcurrentReaders_EachReceivesEveryEventAfterItsStart()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            for (var i = 0; i < 100; i++) await SendAsync(context, Chunk($$"""{"content":"word{{i}} "}"""));
            await gate.Task.WaitAsync(Cancel);
            for (var i = 100; i < 200; i++) await SendAsync(context, Chunk($$"""{"content":"word{{i}} "}"""));
            await SendAsync(context, Chunk("{}", "stop"), "[DONE]");
        };
        using var first = await OpenAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""", Cancel);
        var id = first.Headers.GetValues("Fairlead-Generation").Single();
        using var handler = new SocketsHttpHandler { MaxConnectionsPerServer = 2000 };
        using var client = new HttpClient(handler) { BaseAddress = new Uri(_gateway.Url), Timeout = TimeSpan.FromMinutes(2) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", _gateway.Key);
        var reading = Enumerable.Range(0, 1000).Select(async reader =>
        {
            var after = (reader % 40) - 1;
            using var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/generations/{id}/events{(after < 0 ? "" : $"?after={after}")}");
            using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
            return (After: after, Events: await ReadAsync(response));
        }).ToArray();
        gate.SetResult();
        var all = await Task.WhenAll(reading);
        var whole = await EventsAsync($"/v2/generations/{id}/events");
        Assert.Equal(string.Concat(Enumerable.Range(0, 200).Select(number => $"word{number} ")), TextOf(whole));
        Assert.All(all, read => Assert.Equal(whole[Math.Min(whole.Count, read.After + 1)..], read.Events));
    }

    [Fact]
    public async Task Response_LargerThanInMemoryLog_IsFullyReadByLateReader()
    {
        // Three megabytes: more than a log holds.
        var word = new string('x', 1000);
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            for (var i = 0; i < 3000; i++) await SendAsync(context, Chunk($$"""{"content":"{{i}}{{word}} "}"""));
            await gate.Task.WaitAsync(Cancel);
            await SendAsync(context, Chunk("""{"content":"end"}"""), Chunk("{}", "stop"), "[DONE]");
        };
        using var first = await OpenAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"},"stream":{"batch_tokens":1}}""", Cancel);
        var id = first.Headers.GetValues("Fairlead-Generation").Single();
        var late = new List<string>();
        using var following = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, Cancel);
        // This reader starts when all events but the last are available.
        await foreach (var item in SseParser.Create(await first.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
        {
            if (item.Data.Contains("2999x", StringComparison.Ordinal)) break;
        }
        var reading = EventsAsync($"/v2/generations/{id}/events");
        await foreach (var item in SseParser.Create(await following.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
        {
            late.Add(item.Data);
            if (item.Data.Contains("2999x", StringComparison.Ordinal)) gate.TrySetResult();
        }
        Assert.Equal(string.Concat(Enumerable.Range(0, 3000).Select(i => $"{i}{word} ")) + "end", TextOf(late));
        Assert.Equal(late, await reading);
        Assert.Equal(late, await EventsAsync($"/v2/generations/{id}/events"));
    }

    [Fact]
    public async Task OtherNode_SharedPostgres_StreamsSameEventsLive()
    {
        var database = TestPostgres.CreateDatabase();
        try
        {
            var yaml = _upstream.Yaml($"  retry: {{ maxRetries: 0 }}\n  storage: {{ connectionString: '{database.Replace("'", "''", StringComparison.Ordinal)}' }}");
            await using var one = await TestGateway.StartAsync(yaml);
            await using var other = await TestGateway.StartAsync(yaml);
            using var there = other.MakeClient(one.Key);
            var gate = new TaskCompletionSource();
            _upstream.Answer = async context =>
            {
                await BeginAsync(context);
                await SendAsync(context, Chunk("""{"content":"first "}"""));
                await gate.Task.WaitAsync(Cancel);
                await SendAsync(context, Chunk("""{"content":"then"}"""), Chunk("{}", "stop"), "[DONE]");
            };
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v2/generations")
            {
                Content = new StringContent("""{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""", Encoding.UTF8, "application/json"),
            };
            using var response = await one.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
            var id = response.Headers.GetValues("Fairlead-Generation").Single();
            using var follow = await there.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, Cancel);
            var seen = new List<string>();
            await foreach (var item in SseParser.Create(await follow.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
            {
                seen.Add(item.Data);
                // The other node shows the beginning while the provider still holds the end back.
                if (item.Data.Contains("first", StringComparison.Ordinal)) gate.TrySetResult();
            }
            Assert.Equal("first then", TextOf(seen));
            Assert.Equal(seen, await ReadAsync(response));
        }
        finally
        {
            TestPostgres.DropDatabase(database);
        }
    }

    private static string TextOf(IEnumerable<string> events) =>
        string.Concat(events.Select(Parse).Where(seen => seen.GetProperty("type").GetString() == "output.text.delta").Select(seen => seen.GetProperty("text").GetString()));

    private static JsonElement Parse(string data) => JsonDocument.Parse(data).RootElement.Clone();

    private async Task<HttpResponseMessage> OpenAsync(string path, string body, CancellationToken cancellationToken)
    {
        var response = await _gateway.Client.PostJsonAsync(path, body, cancellationToken: cancellationToken);
        Assert.True(response.StatusCode == HttpStatusCode.OK, response.StatusCode == HttpStatusCode.OK ? "" : await response.Content.ReadAsStringAsync(Cancel));
        return response;
    }

    private Task<JsonElement> CreateAsync(string body, string path = "/v2/generations") => _gateway.Client.PostForJsonAsync(path, body);

    private async Task<List<string>> EventsAsync(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        return await EventsAsync(request);
    }

    private async Task<List<string>> EventsAsync(HttpRequestMessage request)
    {
        using var response = await _gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        return await ReadAsync(response);
    }

    private static async Task<List<string>> ReadAsync(HttpResponseMessage response)
    {
        if (response.StatusCode == HttpStatusCode.NoContent) return [];
        Assert.True(response.StatusCode == HttpStatusCode.OK, response.StatusCode == HttpStatusCode.OK ? "" : await response.Content.ReadAsStringAsync(Cancel));
        var events = new List<string>();
        await foreach (var item in SseParser.Create(await response.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel)) events.Add(item.Data);
        return events;
    }
}

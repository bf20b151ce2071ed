using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Generations;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Idempotency;

public sealed class SqliteIdempotencyTests() : IdempotencyTests(StorageProvider.Sqlite);

public sealed class PostgresIdempotencyTests() : IdempotencyTests(StorageProvider.Postgres);

/// <summary>Requests that are sent twice, one after the other and at once, on one node and on two.</summary>
public abstract class IdempotencyTests : IAsyncLifetime
{
    private const string Chat = """{"model":"m","messages":[{"role":"user","content":"hi"}]}""";
    private const string ChatStream = """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"fairlead":{"batch_tokens":1}}""";

    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private protected IdempotencyTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData("/v1/chat/completions", Chat)]
    [InlineData("/v1/messages", """{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/responses", """{"model":"sim-fast","input":"hi"}""")]
    [InlineData("/v1/completions", """{"model":"sim-fast","prompt":"hi"}""")]
    [InlineData("/v1/embeddings", """{"model":"sim-embed","input":"hi"}""")]
    public async Task IdempotencyKey_RepeatedAfterCompletion_ReplaysResponse(string path, string body)
    {
        using var first = await PostAsync("k", body, path);
        using var second = await PostAsync("k", body.Replace(":", " : ", StringComparison.Ordinal).Replace("\" : \"", "\":\"", StringComparison.Ordinal), path);
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (first.StatusCode, second.StatusCode));
        Assert.False(first.Headers.Contains("Idempotent-Replayed"));
        Assert.Equal("true", second.Headers.GetValues("Idempotent-Replayed").Single());
        Assert.Equal(first.Headers.GetValues("Fairlead-Generation"), second.Headers.GetValues("Fairlead-Generation"));
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancel), await second.Content.ReadAsStringAsync(Cancel));
        Assert.Equal(first.Content.Headers.ContentType?.MediaType, second.Content.Headers.ContentType?.MediaType);
        Assert.NotEqual(first.Headers.GetValues("x-request-id"), second.Headers.GetValues("x-request-id"));
        Assert.True(_upstream.Received.Count <= 1);
        await BalancedAsync();
    }

    [Fact]
    public async Task IdempotencyKey_RepeatedWithOtherBodyOrPath_Returns422()
    {
        using var first = await PostAsync("k", Chat);
        using var other = await PostAsync("k", Chat.Replace("hi", "ho", StringComparison.Ordinal));
        await ExpectAsync(other, HttpStatusCode.UnprocessableEntity, "idempotency_conflict");
        using var elsewhere = await PostAsync("k", """{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}""", "/v1/messages");
        Assert.Equal(HttpStatusCode.UnprocessableEntity, elsewhere.StatusCode);
        using var another = await PostAsync("k2", Chat);
        Assert.Equal(HttpStatusCode.OK, another.StatusCode);
        Assert.Equal(2, _upstream.Received.Count);
    }

    [Fact]
    public async Task IdempotencyKey_UsedByAnotherProject_IsSeparateRequest()
    {
        using var first = await PostAsync("k", Chat);
        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        using var client = _gateway.MakeClient(key.GetProperty("secret").GetString());
        using var second = await PostAsync("k", Chat.Replace("hi", "ho", StringComparison.Ordinal), client: client);
        Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        Assert.False(second.Headers.Contains("Idempotent-Replayed"));
    }

    [Fact]
    public async Task Sync_FirstStillRunning_Returns409WithIdAndRetryAfter()
    {
        var release = Hold(context => Json(context, Completion("done")));
        var first = PostAsync("k", Chat);
        await release.Arrived;
        using (var second = await PostAsync("k", Chat))
        {
            var error = await ExpectAsync(second, HttpStatusCode.Conflict, "idempotency_in_progress");
            Assert.NotNull(second.Headers.RetryAfter);
            Assert.StartsWith("gen_", error.GetProperty("details").GetProperty("generation_id").GetString(), StringComparison.Ordinal);
        }
        release.Go();
        using var answered = await first;
        using var third = await PostAsync("k", Chat);
        Assert.Equal(await answered.Content.ReadAsStringAsync(Cancel), await third.Content.ReadAsStringAsync(Cancel));
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task IdempotencyKey_ConcurrentOnTwoNodes_CallsProviderOnce()
    {
        await using var second = _postgres is null ? null : await StartAsync();
        using var client = second?.MakeClient(_gateway.Key);
        if (client is not null)
        {
            // The other node has taken the key in.
            for (var status = HttpStatusCode.Unauthorized; status != HttpStatusCode.OK;)
            {
                using var models = await client.GetAsync(new Uri("/v1/models", UriKind.Relative), Cancel);
                status = models.StatusCode;
            }
        }
        for (var round = 0; round < 5; round++)
        {
            var before = _upstream.Received.Count;
            var key = $"many{round}";
            var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(async i =>
            {
                while (true)
                {
                    using var response = await PostAsync(key, Chat, client: i % 2 == 0 ? _gateway.Client : client ?? _gateway.Client);
                    var text = await response.Content.ReadAsStringAsync(Cancel);
                    if (response.StatusCode == HttpStatusCode.OK) return text;
                    Assert.True(response.StatusCode == HttpStatusCode.Conflict, text);
                }
            }));
            Assert.Single(answers.Distinct());
            Assert.Equal(1, _upstream.Received.Count - before);
        }
    }

    [Fact]
    public async Task Stream_InProgress_CanBeJoinedFromStartOrAfterEvent()
    {
        var release = Hold(async context => await SendAsync(context, Chunk("""{"content":" c"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]"), async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":""}"""), Chunk("""{"content":"a"}"""), Chunk("""{"content":" b"}"""));
        });
        using var first = await PostAsync("k", ChatStream, headersOnly: true);
        await release.Arrived;
        using var whole = await PostAsync("k", ChatStream, headersOnly: true);
        using var rest = await PostAsync("k", ChatStream, headersOnly: true, lastEventId: "1");
        Assert.Equal("true", whole.Headers.GetValues("Idempotent-Replayed").Single());
        release.Go();
        var (one, two, three) = (await SeenStream.ReadAsync(first, Cancel), await SeenStream.ReadAsync(whole, Cancel), await SeenStream.ReadAsync(rest, Cancel));
        Assert.Equal("a b c", Text(one));
        Assert.Equal(one.Raw, two.Raw);
        Assert.Equal(one.Events.Skip(2), three.Events);
        using var later = await PostAsync("k", ChatStream, headersOnly: true);
        Assert.Equal(one.Raw, (await SeenStream.ReadAsync(later, Cancel)).Raw);
        using var end = await PostAsync("k", ChatStream, headersOnly: true, lastEventId: "2");
        Assert.Equal(one.Events.Skip(3), (await SeenStream.ReadAsync(end, Cancel)).Events);
        Assert.Single(_upstream.Received);
        await BalancedAsync();
    }

    [Theory]
    [InlineData("/v1/messages", """{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/responses", """{"model":"sim-fast","stream":true,"input":"hi"}""")]
    public async Task Stream_OtherDialectWithIdempotencyKey_IsReplayedByteForByte(string path, string body)
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"a"}"""), Chunk("""{"content":" b"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var first = await PostAsync("k", body, path);
        using var second = await PostAsync("k", body, path);
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancel), await second.Content.ReadAsStringAsync(Cancel));
        Assert.Equal("true", second.Headers.GetValues("Idempotent-Replayed").Single());
    }

    [Theory]
    [InlineData("/v1/chat/completions", ChatStream)]
    [InlineData("/v1/completions", """{"model":"sim-fast","stream":true,"prompt":"hi"}""")]
    [InlineData("/v1/messages", """{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/responses", """{"model":"sim-fast","stream":true,"input":"hi"}""")]
    [InlineData("/v1/responses", """{"model":"sim-fast","stream":true,"store":false,"input":"hi"}""")]
    [InlineData("/v1/responses", """{"model":"sim-fast","stream":true,"background":true,"input":"hi"}""")]
    [InlineData("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"stream"}}""")]
    [InlineData("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""")]
    public async Task Streams_ConcurrentWithSameKey_ShareOneCall(string path, string body)
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"a"}"""), Chunk("""{"content":" b"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        for (var round = 0; round < 3; round++)
        {
            var key = $"many{round}";
            var streams = await Task.WhenAll(Enumerable.Range(0, 6).Select(async _ =>
            {
                using var response = await PostAsync(key, body, path, headersOnly: true);
                Assert.True(response.StatusCode == HttpStatusCode.OK, $"{(int)response.StatusCode} {await response.Content.ReadAsStringAsync(Cancel)}");
                var stream = await SeenStream.ReadAsync(response, Cancel);
                Assert.False(stream.Broken);
                return (stream.Raw.Replace(": keep-alive\n\n", "", StringComparison.Ordinal), response.Headers.GetValues("Fairlead-Generation").Single());
            }));
            Assert.Single(streams.Distinct());
        }
        Assert.True(_upstream.Received.Count is 0 or 3, $"{_upstream.Received.Count}");
        await BalancedAsync();
    }

    [Theory]
    [InlineData("respond-async", 202)]
    [InlineData("respond-async, wait=30", 200)]
    [InlineData("respond-async, wait=1", 202)]
    public async Task Jobs_ConcurrentWithSameIdempotencyKey_AllReturnOneGeneration(string prefer, int status)
    {
        var release = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            if (status == 202) await release.Task.WaitAsync(context.RequestAborted);
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"done"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        for (var round = 0; round < 3; round++)
        {
            var key = $"many{round}";
            var answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(async _ =>
            {
                using var response = await PostAsync(key, Chat, prefer: prefer);
                var text = await response.Content.ReadAsStringAsync(Cancel);
                Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode} {text}");
                return (text, response.Headers.GetValues("Fairlead-Generation").Single());
            }));
            Assert.Single(answers.Distinct());
        }
        release.SetResult();
    }

    [Fact]
    public async Task Streams_ConcurrentWithSameKeyRefused_AllGetTheError()
    {
        var arrived = new SemaphoreSlim(0);
        var release = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            arrived.Release();
            await release.Task.WaitAsync(context.RequestAborted);
            await Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 400);
        };
        var first = PostAsync("k", ChatStream);
        await arrived.WaitAsync(Cancel);
        var others = Enumerable.Range(0, 4).Select(_ => PostAsync("k", ChatStream)).ToArray();
        release.SetResult();
        foreach (var response in (HttpResponseMessage[])[await first, .. await Task.WhenAll(others)])
        {
            using (response) await ExpectAsync(response, HttpStatusCode.BadRequest, "provider_rejected");
        }
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task Stream_ClientDisconnected_ContinuesForRepeatedIdempotentRequest()
    {
        var release = Hold(async context => await SendAsync(context, Chunk("""{"content":" b"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]"), async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"a"}"""));
        });
        using (var first = await PostAsync("k", ChatStream, headersOnly: true)) await release.Arrived;
        release.Go();
        using var again = await PostAsync("k", ChatStream, headersOnly: true);
        var stream = await SeenStream.ReadAsync(again, Cancel);
        Assert.False(stream.Broken);
        Assert.Equal("a b", Text(stream));
        Assert.Single(_upstream.Received);
        await BalancedAsync();
    }

    [Fact]
    public async Task Stream_Broken_IsReplayedAsBroken()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"a"}"""));
            await SendAsync(context, """{"error":{"message":"x","type":"server_error"}}""");
        };
        using var first = await PostAsync("k", ChatStream, headersOnly: true);
        var one = await SeenStream.ReadAsync(first, Cancel);
        using var second = await PostAsync("k", ChatStream, headersOnly: true);
        var two = await SeenStream.ReadAsync(second, Cancel);
        Assert.True(two.Broken);
        Assert.Equal(one.Raw, two.Raw);
        Assert.Contains("provider_error", two.Raw, StringComparison.Ordinal);
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task IdempotencyKey_RefusedBeforeSending_StaysUnused()
    {
        using (var unknown = await PostAsync("k", Chat.Replace("\"m\"", "\"nobody\"", StringComparison.Ordinal))) await ExpectAsync(unknown, HttpStatusCode.NotFound, "model_not_found");
        using (var large = await PostAsync("k", Chat.Replace("\"hi\"", $"\"{string.Concat(Enumerable.Repeat("word ", 9000))}\"", StringComparison.Ordinal))) await ExpectAsync(large, HttpStatusCode.BadRequest, "context_length_exceeded");
        using var good = await PostAsync("k", Chat);
        Assert.Equal(HttpStatusCode.OK, good.StatusCode);
    }

    [Fact]
    public async Task RetryableFailure_WithoutOutput_ReleasesIdempotencyKey()
    {
        _upstream.Answer = context => Json(context, """{"error":{"message":"full"}}""", 503);
        using (var failed = await PostAsync("k", Chat)) Assert.Equal(HttpStatusCode.ServiceUnavailable, failed.StatusCode);
        _upstream.Answer = context => Json(context, Completion("hello"));
        using var good = await PostAsync("k", Chat);
        Assert.Equal(HttpStatusCode.OK, good.StatusCode);
        Assert.False(good.Headers.Contains("Idempotent-Replayed"));
    }

    [Fact]
    public async Task PermanentFailure_RepeatedRequest_IsReplayed()
    {
        _upstream.Answer = context => Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 400);
        using var failed = await PostAsync("k", Chat);
        var asked = _upstream.Received.Count;
        using var again = await PostAsync("k", Chat);
        await ExpectAsync(failed, HttpStatusCode.BadRequest, "provider_rejected");
        await ExpectAsync(again, HttpStatusCode.BadRequest, "provider_rejected");
        Assert.Equal("true", again.Headers.GetValues("Idempotent-Replayed").Single());
        Assert.Equal(asked, _upstream.Received.Count);
    }

    [Theory]
    [InlineData("respond-async")]
    [InlineData("respond-async, wait=30")]
    public async Task Job_SameIdempotencyKey_ReturnsSameGeneration(string prefer)
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"a"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var first = await PostAsync("k", Chat, prefer: prefer);
        using var second = await PostAsync("k", Chat, prefer: prefer);
        Assert.Equal(first.StatusCode, second.StatusCode);
        Assert.Equal(first.Headers.Location, second.Headers.Location);
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancel), await second.Content.ReadAsStringAsync(Cancel));
        Assert.Equal("true", second.Headers.GetValues("Idempotent-Replayed").Single());
        if (first.Headers.Location is { } place) await _gateway.Client.GetStringAsync(new Uri($"{place.OriginalString}?wait=60", UriKind.Relative), Cancel);
        Assert.Single(_upstream.Received);
        await BalancedAsync();
    }

    [Theory]
    [InlineData("respond-async", false)]
    [InlineData("respond-async, wait=60", true)]
    public async Task Job_ClientDisconnectsBeforeResponse_IsReturnedToRepeatedRequest(string prefer, bool waits)
    {
        using var gone = new CancellationTokenSource();
        var leaving = new Leaving(gone.Token);
        await using var gateway = await TestGateway.StartAsync(Yaml(), (builder, _) => builder.Services.AddSingleton<IStartupFilter>(leaving));
        _upstream.Answer = async context =>
        {
            if (waits)
            {
                await gone.CancelAsync();
                await leaving.Served.Task.WaitAsync(Cancel);
            }
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"a"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        // The notice comes after the job is accepted and before its client gets a response.
        using var heard = gateway.Services.GetRequiredService<IStorage>().Notifier.Subscribe(JobNotices.Queued, _ => gone.Cancel());

        using var request = Request("k", Chat, prefer: prefer);
        request.Headers.Add("X-Leaves", "1");
        try
        {
            using var first = await gateway.Client.SendAsync(request, Cancel);
        }
        catch (HttpRequestException)
        {
            // A client that has disconnected gets no response.
        }
        await leaving.Served.Task.WaitAsync(Cancel);
        using var second = await PostAsync("k", Chat, client: gateway.Client, prefer: prefer);
        Assert.Equal(HttpStatusCode.Accepted, second.StatusCode);
        Assert.Equal("true", second.Headers.GetValues("Idempotent-Replayed").Single());
        var done = await gateway.Client.GetStringAsync(new Uri($"{second.Headers.Location}?wait=60", UriKind.Relative), Cancel);
        Assert.True(done.Contains("\"completed\"", StringComparison.Ordinal), done);
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task IdempotencyKey_QuotedOrUnquoted_IsSameKey()
    {
        _upstream.Answer = context => Json(context, Completion("hello"));
        using var first = await PostAsync("k-1", Chat);
        using var second = await PostAsync("\"k-1\"", Chat);
        Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        Assert.Equal("true", second.Headers.GetValues("Idempotent-Replayed").Single());
        Assert.Equal(first.Headers.GetValues("Fairlead-Generation"), second.Headers.GetValues("Fairlead-Generation"));
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task Job_RequestedInBody_OmitsPreferenceAppliedHeader()
    {
        using var first = await PostAsync("k", """{"model":"sim-fast","input":"x","delivery":{"mode":"job"}}""", "/v2/generations");
        using var second = await PostAsync("k", """{"model":"sim-fast","input":"x","delivery":{"mode":"job"}}""", "/v2/generations");
        Assert.Equal(HttpStatusCode.Accepted, second.StatusCode);
        Assert.Equal("true", second.Headers.GetValues("Idempotent-Replayed").Single());
        Assert.Equal(first.Headers.Location, second.Headers.Location);
        foreach (var response in new[] { first, second }) Assert.False(response.Headers.Contains("Preference-Applied"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("two words")]
    [InlineData("\"open")]
    [InlineData(null)]
    public async Task IdempotencyKey_InvalidFormat_Returns400(string? key)
    {
        using var response = await PostAsync(key ?? new string('k', 256), Chat);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(_upstream.Received);
    }

    private static async Task<JsonElement> ExpectAsync(HttpResponseMessage response, HttpStatusCode status, string code)
    {
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == status, text);
        var error = JsonDocument.Parse(text).RootElement.GetProperty("error");
        Assert.Equal(code, error.GetProperty("code").GetString());
        return error;
    }

    private static string Text(SeenStream stream) => string.Concat(stream.Events.Where(one => one.Data != "[DONE]").Select(one =>
        one.Json.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() : null));

    private Task<TestGateway> StartAsync() => TestGateway.StartAsync(Yaml());

    private string Yaml() => _upstream.Yaml(_postgres is null ? "  retry: { maxRetries: 0 }" : $"  retry: {{ maxRetries: 0 }}\n  storage: {{ connectionString: '{_postgres.Replace("'", "''", StringComparison.Ordinal)}' }}");

    private async Task<HttpResponseMessage> PostAsync(string key, string body, string path = "/v1/chat/completions", HttpClient? client = null, bool headersOnly = false, string? lastEventId = null, string? prefer = null)
    {
        using var request = Request(key, body, path, lastEventId, prefer);
        return await (client ?? _gateway.Client).SendAsync(request, headersOnly ? HttpCompletionOption.ResponseHeadersRead : HttpCompletionOption.ResponseContentRead, Cancel);
    }

    private static HttpRequestMessage Request(string key, string body, string path = "/v1/chat/completions", string? lastEventId = null, string? prefer = null)
    {
        var request = HttpCalls.JsonRequest(HttpMethod.Post, path, body, [("Idempotency-Key", key)]);
        if (lastEventId is not null) request.Headers.Add("Last-Event-ID", lastEventId);
        if (prefer is not null) request.Headers.Add("Prefer", prefer);
        return request;
    }

    /// <summary>Whose requests have the header <c>X-Leaves</c> is gone from a moment on.</summary>
    private sealed class Leaving(CancellationToken gone) : IStartupFilter
    {
        public TaskCompletionSource Served { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (context, serve) =>
            {
                if (!context.Request.Headers.ContainsKey("X-Leaves"))
                {
                    await serve(context);
                    return;
                }
                context.RequestAborted = gone;
                try
                {
                    await serve(context);
                }
                finally
                {
                    Served.TrySetResult();
                }
            });
            next(app);
        };
    }

    /// <summary>The next responses start as <paramref name="before"/> says, and wait before <paramref name="after"/>.</summary>
    private Held Hold(Func<HttpContext, Task> after, Func<HttpContext, Task>? before = null)
    {
        var held = new Held();
        _upstream.Answer = async context =>
        {
            if (before is not null) await before(context);
            held.ArrivedSource.TrySetResult();
            await held.Released.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancel);
            await after(context);
        };
        return held;
    }

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

    private sealed class Held
    {
        public TaskCompletionSource ArrivedSource { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Released { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Arrived => ArrivedSource.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancel);

        public void Go() => Released.TrySetResult();
    }
}

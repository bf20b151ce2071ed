using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Generations;

public sealed class SqliteStoredGenerationTests() : StoredGenerationTests(StorageProvider.Sqlite);

public sealed class PostgresStoredGenerationTests() : StoredGenerationTests(StorageProvider.Postgres);

/// <summary>Requests of the gateway's own API that ask for their content to be stored.</summary>
public abstract class StoredGenerationTests : IAsyncLifetime
{
    private readonly StorageProvider _store;
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private protected StoredGenerationTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
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

    [Theory]
    [InlineData("\"store\":true,\"delivery\":{\"mode\":\"sync\"}", true)]
    [InlineData("\"delivery\":{\"mode\":\"sync\",\"on_disconnect\":\"continue\"}", true)]
    [InlineData("\"store\":true,\"delivery\":{\"mode\":\"auto\",\"wait_seconds\":60}", true)]
    [InlineData("\"store\":false,\"delivery\":{\"mode\":\"sync\"}", false)]
    [InlineData("\"delivery\":{\"mode\":\"sync\"}", false)]
    [InlineData("\"delivery\":{\"mode\":\"auto\",\"wait_seconds\":60}", false)]
    public async Task Whole_Store_KeepsResultAndEvents(string fields, bool isStored)
    {
        var done = await CreateAsync("{\"model\":\"sim-echo\",\"input\":\"a bowline\"," + fields + "}");
        var id = Text(done, "id");
        Assert.Equal("a bowline", Text(done, "output_text"));
        Assert.Equal(isStored, done.GetProperty("content_stored").GetBoolean());
        var read = await _gateway.Client.GetJsonAsync("/v2/generations/" + id, HttpStatusCode.OK);
        Assert.Equal(isStored, read.GetProperty("content_stored").GetBoolean());
        Assert.Equal(isStored ? "a bowline" : null, read.GetProperty("output_text").GetString());
        if (!isStored)
        {
            await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result", HttpStatusCode.Gone);
            return;
        }
        Assert.Equal(done.GetProperty("delivery").GetRawText(), read.GetProperty("delivery").GetRawText());
        Assert.Equal(done.GetRawText(), (await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result", HttpStatusCode.OK)).GetRawText());
        using var events = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), Cancel);
        var seen = await SeenStream.ReadAsync(events, Cancel);
        Assert.Equal("generation.completed", seen.Events[^1].Name);
        Assert.Equal("a bowline", string.Concat(seen.Events.Where(one => one.Name == "output.text.delta").Select(one => Text(one.Json, "text"))));
    }

    [Fact]
    public async Task Stream_Store_CanBeReadAgain()
    {
        var first = await _gateway.Client.PostForStreamAsync("/v2/generations", """{"model":"sim-echo","input":"a bowline and a hitch","store":true,"stream":{"batch_tokens":1}}""");
        var id = Text(first.Events[0].Json.GetProperty("generation"), "id");
        Assert.All(first.Events.Where(one => one.Json.TryGetProperty("generation", out _)), one => Assert.True(one.Json.GetProperty("generation").GetProperty("content_stored").GetBoolean()));
        using var again = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), Cancel);
        Assert.Equal(first.Raw, (await SeenStream.ReadAsync(again, Cancel)).Raw);
        Assert.Equal("a bowline and a hitch", Text(await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result", HttpStatusCode.OK), "output_text"));
    }

    [Fact]
    public async Task Store_WithPreferHeader_BecomesJob()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v2/generations") { Content = new StringContent("""{"model":"sim-echo","input":"x","store":true}""", Encoding.UTF8, "application/json") };
        request.Headers.Add("Prefer", "respond-async");
        using var response = await _gateway.Client.SendAsync(request, Cancel);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
    }

    [Theory]
    [InlineData("sync")]
    [InlineData("auto")]
    [InlineData("stream")]
    public async Task Store_ProviderFails_ClientGetsTheErrorAndItIsStored(string mode)
    {
        _upstream.Answer = context => Json(context, "{\"error\":{\"message\":\"busy\"}}", 503);
        using var response = await _gateway.Client.PostJsonAsync("/v2/generations", "{\"model\":\"m\",\"input\":\"x\",\"store\":true,\"delivery\":{\"mode\":\"" + mode + "\"}}");
        await response.Content.ReadAsStringAsync(Cancel);
        var id = response.Headers.GetValues("Fairlead-Generation").Single();
        if (mode != "stream") Assert.True((int)response.StatusCode >= 500);
        var read = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60", HttpStatusCode.OK);
        Assert.Equal(("failed", 1), (Text(read, "status"), read.GetProperty("runs").GetInt32()));
        Assert.Single(_upstream.Received);
        using var result = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/result", UriKind.Relative), Cancel);
        if (mode != "stream") Assert.Equal(response.StatusCode, result.StatusCode);
    }

    [Theory]
    [InlineData("{\"mode\":\"sync\"}", "cancelled")]
    [InlineData("{\"mode\":\"stream\"}", "cancelled")]
    [InlineData("{\"mode\":\"auto\",\"wait_seconds\":60,\"on_disconnect\":\"cancel\"}", "cancelled")]
    [InlineData("{\"mode\":\"auto\",\"wait_seconds\":60,\"on_disconnect\":\"continue\"}", "completed")]
    [InlineData("{\"mode\":\"sync\",\"on_disconnect\":\"continue\"}", "completed")]
    [InlineData("{\"mode\":\"stream\",\"on_disconnect\":\"continue\"}", "completed")]
    public async Task Store_ClientLeaves_EndsUnlessItContinues(string delivery, string status)
    {
        var sent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"half"}"""));
            sent.TrySetResult();
            await gate.Task.WaitAsync(context.RequestAborted);
            await SendAsync(context, Chunk("""{"content":"whole"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using (var leaving = CancellationTokenSource.CreateLinkedTokenSource(Cancel))
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v2/generations") { Content = new StringContent("{\"model\":\"m\",\"input\":\"x\",\"store\":true,\"delivery\":" + delivery + "}", Encoding.UTF8, "application/json") };
            var response = _gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leaving.Token);
            await sent.Task.WaitAsync(Cancel);
            await leaving.CancelAsync();
            try
            {
                (await response).Dispose();
            }
            catch (OperationCanceledException)
            {
                // It has left before the headers.
            }
        }
        if (status == "completed") gate.SetResult();
        else await _upstream.Aborted.Task.WaitAsync(Cancel);
        var listed = Assert.Single((await _gateway.Client.GetJsonAsync("/v2/generations", HttpStatusCode.OK)).GetProperty("data").EnumerateArray());
        var read = await _gateway.Client.GetJsonAsync($"/v2/generations/{Text(listed, "id")}?wait=60", HttpStatusCode.OK);
        Assert.True(status == Text(read, "status"), read.GetRawText());
        Assert.True(read.GetProperty("content_stored").GetBoolean());
    }

    [Fact]
    public async Task Store_DatabaseUnavailable_IsRefusedAndNothingRuns()
    {
        await using (await _gateway.BlockWritesAsync())
        {
            foreach (var mode in (string[])["sync", "stream"])
            {
                using var response = await _gateway.Client.PostJsonAsync("/v2/generations", "{\"model\":\"m\",\"input\":\"x\",\"store\":true,\"delivery\":{\"mode\":\"" + mode + "\"}}");
                Assert.Equal("store_unavailable", Text(JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement, "code"));
            }
        }
        Assert.Empty(_upstream.Received);
    }

    [Fact]
    public async Task Idempotency_StoredWholeResponse_IsReplayed()
    {
        string? first = null;
        for (var i = 0; i < 2; i++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v2/generations") { Content = new StringContent("""{"model":"m","input":"x","store":true,"delivery":{"mode":"sync"}}""", Encoding.UTF8, "application/json") };
            request.Headers.Add("Idempotency-Key", "k-1");
            using var response = await _gateway.Client.SendAsync(request, Cancel);
            var body = await response.Content.ReadAsStringAsync(Cancel);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal(i == 1, response.Headers.Contains("Idempotent-Replayed"));
            Assert.Equal(first ??= body, body);
        }
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task User_OfRequest_IsSentToTheProviderAndFoundInTheAudit()
    {
        await CreateAsync("""{"model":"m","input":"x","user":"ada","delivery":{"mode":"sync"}}""");
        await CreateAsync("""{"model":"m","input":"x","safety_identifier":"bob","user":"ada","delivery":{"mode":"sync"}}""");
        Assert.Equal(["ada", "bob"], _upstream.Received.Select(sent => (sent.TryGetProperty("user", out var user) ? user : sent.GetProperty("safety_identifier")).GetString()));
        foreach (var name in (string[])["ada", "bob"])
        {
            var record = Assert.Single((await _gateway.Admin.GetJsonAsync("/admin/v1/audit?user=" + name, HttpStatusCode.OK)).GetProperty("data").EnumerateArray());
            Assert.Equal(name, Text(record, "user"));
        }
    }

    [Theory]
    [InlineData("\"store\":1", "/store")]
    [InlineData("\"user\":\"\"", "/user")]
    [InlineData("\"user\":5", "/user")]
    [InlineData("\"safety_identifier\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "/safety_identifier")]
    public async Task Request_InvalidField_Returns400ThatNamesIt(string field, string pointer)
    {
        var error = await _gateway.Client.PostForJsonAsync("/v2/generations", "{\"model\":\"m\",\"input\":\"x\"," + field + "}", HttpStatusCode.BadRequest);
        Assert.Equal(pointer, Text(error.GetProperty("errors")[0], "pointer"));
    }

    private Task<JsonElement> CreateAsync(string body) => _gateway.Client.PostForJsonAsync("/v2/generations", body, HttpStatusCode.OK);

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString()!;
}

using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Responses;

public sealed class SqliteBackgroundResponsesTests() : BackgroundResponsesTests(StorageProvider.Sqlite);

public sealed class PostgresBackgroundResponsesTests() : BackgroundResponsesTests(StorageProvider.Postgres);

/// <summary>
/// Requests with <c>background: true</c> return at once and run as jobs. Clients retrieve and cancel them in the same dialect.
/// </summary>
public abstract class BackgroundResponsesTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected BackgroundResponsesTests(StorageProvider store) => _store = store;

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

    [Fact]
    public async Task Create_Background_ReturnsQueuedAndLaterCompleted()
    {
        var queued = await SendAsync(HttpMethod.Post, "/v1/responses", """{"model":"sim-echo","background":true,"input":"a bowline"}""");
        Assert.Equal("queued", queued.GetProperty("status").GetString());
        Assert.True(queued.GetProperty("background").GetBoolean());
        Assert.Equal(0, queued.GetProperty("output").GetArrayLength());
        Assert.Equal(JsonValueKind.Null, queued.GetProperty("usage").ValueKind);

        var id = queued.GetProperty("id").GetString()!;
        await EndAsync(id);
        var done = await SendAsync(HttpMethod.Get, $"/v1/responses/{id}");
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal(id, done.GetProperty("id").GetString());
        Assert.True(done.GetProperty("background").GetBoolean());
        Assert.Equal("a bowline", done.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
        Assert.True(done.GetProperty("usage").GetProperty("output_tokens").GetInt64() > 0);

        // Stopping what has ended shows it as it is, as often as one likes.
        Assert.Equal("completed", (await SendAsync(HttpMethod.Post, $"/v1/responses/{id}/cancel")).GetProperty("status").GetString());
        var next = await SendAsync(HttpMethod.Post, "/v1/responses", $$"""{"model":"sim-echo","previous_response_id":"{{id}}","input":"a hitch"}""");
        Assert.True(next.GetProperty("usage").GetProperty("input_tokens").GetInt64() > done.GetProperty("usage").GetProperty("input_tokens").GetInt64());

        await SendAsync(HttpMethod.Delete, $"/v1/responses/{id}");
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(HttpMethod.Get, $"/v1/responses/{id}"));
        // The call itself is known as long as its audit record is, without its content.
        var generation = await SendAsync(HttpMethod.Get, $"/v2/generations/gen_{id[5..]}");
        Assert.False(generation.GetProperty("content_stored").GetBoolean());
        Assert.Equal(JsonValueKind.Null, generation.GetProperty("output").ValueKind);
        Assert.Equal(HttpStatusCode.Gone, await StatusAsync(HttpMethod.Get, $"/v2/generations/gen_{id[5..]}/result"));
    }

    [Fact]
    public async Task Cancel_RunningResponse_StopsProviderAndShowsCancelled()
    {
        var began = new TaskCompletionSource();
        var closed = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            began.TrySetResult();
            await using var registration = context.RequestAborted.Register(() => closed.TrySetResult());
            await closed.Task.WaitAsync(Cancel);
        };
        var id = (await SendAsync(HttpMethod.Post, "/v1/responses", """{"model":"m","background":true,"input":[{"role":"user","content":"hi"}]}""")).GetProperty("id").GetString()!;
        await began.Task.WaitAsync(Cancel);
        Assert.Equal("in_progress", (await SendAsync(HttpMethod.Get, $"/v1/responses/{id}")).GetProperty("status").GetString());
        var input = await SendAsync(HttpMethod.Get, $"/v1/responses/{id}/input_items");
        Assert.Equal("hi", Assert.Single(input.GetProperty("data").EnumerateArray()).GetProperty("content")[0].GetProperty("text").GetString());
        Assert.Equal(HttpStatusCode.BadRequest, await StatusAsync(HttpMethod.Delete, $"/v1/responses/{id}"));

        await SendAsync(HttpMethod.Post, $"/v1/responses/{id}/cancel");
        await closed.Task.WaitAsync(Cancel);
        await EndAsync(id);
        var cancelled = await SendAsync(HttpMethod.Post, $"/v1/responses/{id}/cancel");
        Assert.Equal("cancelled", cancelled.GetProperty("status").GetString());
        Assert.Equal(JsonValueKind.Null, cancelled.GetProperty("error").ValueKind);
        Assert.Equal("cancelled", (await SendAsync(HttpMethod.Get, $"/v1/responses/{id}")).GetProperty("status").GetString());
    }

    [Fact]
    public async Task BackgroundResponse_ProviderFails_ReportsErrorInResponse()
    {
        _upstream.Answer = context => Json(context, """{"error":{"message":"no","type":"server_error","code":null,"param":null}}""", 500);
        var id = (await SendAsync(HttpMethod.Post, "/v1/responses", """{"model":"m","background":true,"input":"hi"}""")).GetProperty("id").GetString()!;
        await EndAsync(id);
        var failed = await SendAsync(HttpMethod.Get, $"/v1/responses/{id}");
        Assert.Equal("failed", failed.GetProperty("status").GetString());
        Assert.Equal("server_error", failed.GetProperty("error").GetProperty("code").GetString());
        Assert.NotEmpty(failed.GetProperty("error").GetProperty("message").GetString()!);
        if (File.Exists(OpenResponsesSchema.Path)) Assert.Empty(OpenResponsesSchema.Load().Faults("ResponseResource", JsonNode.Parse(failed.GetRawText())));
    }

    [Fact]
    public async Task BackgroundResponse_SameDialectProvider_IsSentWithoutBackground()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await FakeUpstream.SendAsync(
                context,
                """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"fc_up","type":"function_call","call_id":"call_a","name":"look_up","arguments":"","status":"in_progress"}}""",
                """{"type":"response.function_call_arguments.delta","sequence_number":2,"item_id":"fc_up","output_index":0,"delta":"{}"}""",
                """{"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":{"id":"fc_up","type":"function_call","call_id":"call_a","name":"look_up","arguments":"{}","status":"completed"}}""",
                """{"type":"response.output_item.added","sequence_number":4,"output_index":1,"item":{"id":"msg_up","type":"message","status":"in_progress","role":"assistant","content":[]}}""",
                """{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_up","output_index":1,"content_index":0,"delta":"so far","logprobs":[]}""");
            await gate.Task.WaitAsync(Cancel);
            await FakeUpstream.SendAsync(
                context,
                """{"type":"response.output_text.delta","sequence_number":6,"item_id":"msg_up","output_index":1,"content_index":0,"delta":", and on","logprobs":[]}""",
                """{"type":"response.output_item.done","sequence_number":7,"output_index":1,"item":{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"so far, and on","annotations":[]}]}}""",
                """{"type":"response.completed","sequence_number":8,"response":{"id":"resp_up","object":"response","created_at":1,"status":"completed","model":"x","vendor":1,"background":false,"output":[{"id":"fc_up","type":"function_call","call_id":"call_a","name":"look_up","arguments":"{}","status":"completed"},{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"so far, and on","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}""");
        };
        var id = (await SendAsync(HttpMethod.Post, "/v1/responses", """{"background":true,"model":"m","input":"hi"}""")).GetProperty("id").GetString()!;
        // What has been made is seen while it is made, in this dialect and in the gateway's own.
        JsonElement running;
        do running = await SendAsync(HttpMethod.Get, $"/v1/responses/{id}");
        while (running.GetProperty("output").GetArrayLength() < 2);
        Assert.Equal("in_progress", running.GetProperty("status").GetString());
        Assert.Equal("completed", running.GetProperty("output")[0].GetProperty("status").GetString());
        Assert.Equal("in_progress", running.GetProperty("output")[1].GetProperty("status").GetString());
        Assert.Equal("so far", running.GetProperty("output")[1].GetProperty("content")[0].GetProperty("text").GetString());
        if (File.Exists(OpenResponsesSchema.Path)) Assert.Empty(OpenResponsesSchema.Load().Faults("ResponseResource", JsonNode.Parse(running.GetRawText())));
        Assert.Equal("so far", (await SendAsync(HttpMethod.Get, $"/v2/generations/gen_{id[5..]}")).GetProperty("output_text").GetString());
        gate.SetResult();

        await EndAsync(id);
        var done = await SendAsync(HttpMethod.Get, $"/v1/responses/{id}");
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.True(done.GetProperty("background").GetBoolean());
        Assert.Equal(1, done.GetProperty("vendor").GetInt32());
        Assert.Equal(running.GetProperty("output")[1].GetProperty("id").GetString(), done.GetProperty("output")[1].GetProperty("id").GetString());
        Assert.DoesNotContain("_up", done.GetRawText().Replace("look_up", "", StringComparison.Ordinal), StringComparison.Ordinal);
        var sent = Assert.Single(_upstream.Received);
        Assert.False(sent.GetProperty("background").GetBoolean());
        Assert.True(sent.GetProperty("stream").GetBoolean());

        var generation = await SendAsync(HttpMethod.Get, $"/v2/generations/gen_{id[5..]}");
        Assert.Equal("so far, and on", generation.GetProperty("output_text").GetString());
        Assert.Equal("call_a", generation.GetProperty("output")[0].GetProperty("id").GetString());
        var events = await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/gen_{id[5..]}/events", UriKind.Relative), Cancel);
        var typed = events.Split('\n').Where(line => line.StartsWith("data: ", StringComparison.Ordinal)).Select(line => JsonDocument.Parse(line[6..]).RootElement).ToList();
        Assert.Equal("so far, and on", string.Concat(typed.Where(one => one.GetProperty("type").GetString() == "output.text.delta").Select(one => one.GetProperty("text").GetString())));
        Assert.Equal("{}", string.Concat(typed.Where(one => one.GetProperty("type").GetString() == "output.tool_call.delta").Select(one => one.GetProperty("arguments").GetString())));
    }

    [Fact]
    public async Task BackgroundResponse_OtherProject_Returns404()
    {
        var id = (await SendAsync(HttpMethod.Post, "/v1/responses", """{"model":"sim-fast","background":true,"input":"x"}""")).GetProperty("id").GetString()!;
        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        using var stranger = _gateway.MakeClient(key.GetProperty("secret").GetString());
        foreach (var (method, path) in new[] { (HttpMethod.Get, ""), (HttpMethod.Post, "/cancel"), (HttpMethod.Delete, ""), (HttpMethod.Get, "/input_items") })
        {
            using var request = new HttpRequestMessage(method, $"/v1/responses/{id}{path}");
            using var response = await stranger.SendAsync(request, Cancel);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }
        await EndAsync(id);
        Assert.Equal("completed", (await SendAsync(HttpMethod.Get, $"/v1/responses/{id}")).GetProperty("status").GetString());
    }

    private async Task EndAsync(string id)
    {
        while (true)
        {
            var generation = await SendAsync(HttpMethod.Get, $"/v2/generations/gen_{id[5..]}?wait=60");
            if (generation.GetProperty("status").GetString() is not ("queued" or "in_progress")) return;
        }
    }

    private async Task<JsonElement> SendAsync(HttpMethod method, string path, string? body = null)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/json") };
        using var response = await _gateway.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, $"{(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement.Clone();
    }

    private async Task<HttpStatusCode> StatusAsync(HttpMethod method, string path)
    {
        using var request = new HttpRequestMessage(method, path);
        using var response = await _gateway.Client.SendAsync(request, Cancel);
        return response.StatusCode;
    }
}

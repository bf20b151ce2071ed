using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using static Fairlead.FunctionalTests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Responses;

/// <summary>Responses with <c>background: true</c>: answered at once, made as jobs, retrieved and cancelled in their own dialect.</summary>
public sealed class BackgroundResponsesTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml() + """

              jobs: { backoff: 1ms }
              retry: { maxRetries: 0 }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Create_IsQueuedAtOnceAndThenRetrievedFinished()
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
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(HttpMethod.Get, $"/v2/generations/gen_{id[5..]}"));
    }

    [Fact]
    public async Task Cancel_WhileItRuns_StopsTheProviderAndShowsIt()
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
    public async Task Provider_ThatFails_IsToldInTheResponse()
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
    public async Task Provider_OfTheDialect_HearsNothingOfTheBackground()
    {
        _upstream.Answer = context => Json(context, """{"id":"resp_up","object":"response","created_at":1,"status":"completed","model":"x","output":[{"type":"message","id":"msg_up","role":"assistant","status":"completed","content":[{"type":"output_text","text":"aye","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2},"background":false}""");
        var id = (await SendAsync(HttpMethod.Post, "/v1/responses", """{"background":true,"model":"m","input":"hi"}""")).GetProperty("id").GetString()!;
        await EndAsync(id);
        var done = await SendAsync(HttpMethod.Get, $"/v1/responses/{id}");
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.True(done.GetProperty("background").GetBoolean());
        Assert.DoesNotContain("resp_up", done.GetRawText(), StringComparison.Ordinal);
        Assert.False(Assert.Single(_upstream.Received).GetProperty("background").GetBoolean());
    }

    [Fact]
    public async Task AnotherProject_FindsNothing()
    {
        var id = (await SendAsync(HttpMethod.Post, "/v1/responses", """{"model":"sim-fast","background":true,"input":"x"}""")).GetProperty("id").GetString()!;
        var organization = await TestGateway.PostAsync(_gateway.Admin, "/admin/v1/organizations", """{"name":"Other"}""");
        var project = await TestGateway.PostAsync(_gateway.Admin, "/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await TestGateway.PostAsync(_gateway.Admin, "/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}"}""");
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

using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Clients;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.FunctionalTests.Responses;

/// <summary>The WebSocket transport of Responses.</summary>
public sealed class ResponseSocketTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml().Replace("kind: openai,", "kind: deepseek,", StringComparison.Ordinal));
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public Task OpenAiNode_ResponsesWS_Works() => NodeClientTests.RunAsync(_gateway, "sockets.mjs");

    [Fact]
    public async Task SocketTurn_SameRequest_HasSameEventsAsHttpStream()
    {
        const string request = "\"model\":\"sim-echo\",\"input\":\"Hello there\"";
        using var socket = await ConnectAsync();
        await SendAsync(socket, $$"""{"type":"response.create",{{request}}}""");
        var events = await TurnAsync(socket);
        using var response = await _gateway.Client.PostAsync(new Uri("/v1/responses", UriKind.Relative), new StringContent($$"""{{{request}},"stream":true}""", Encoding.UTF8, "application/json"), Cancel);
        var lines = (await response.Content.ReadAsStringAsync(Cancel)).Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => JsonDocument.Parse(line[6..]).RootElement).ToList();
        // How many pieces the text comes in depends on the moment.
        Assert.Equal(Types(lines), Types(events));
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(one => one.GetProperty("sequence_number").GetInt32()));
        Assert.Equal("Hello there", events[^1].GetProperty("response").GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());

        // What is stored is there for everybody of the project.
        var id = events[^1].GetProperty("response").GetProperty("id").GetString();
        using var kept = await _gateway.Client.GetAsync(new Uri($"/v1/responses/{id}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.OK, kept.StatusCode);
    }

    [Fact]
    public async Task SocketTurn_StoreFalse_IsKnownOnlyOnItsConnection()
    {
        using var socket = await ConnectAsync();
        await SendAsync(socket, """{"type":"response.create","model":"sim-echo","input":"one","store":false}""");
        var id = (await TurnAsync(socket))[^1].GetProperty("response").GetProperty("id").GetString();
        await SendAsync(socket, $$"""{"type":"response.create","model":"sim-echo","input":"two","store":false,"previous_response_id":"{{id}}"}""");
        Assert.Equal("response.completed", (await TurnAsync(socket))[^1].GetProperty("type").GetString());

        using var other = await ConnectAsync();
        await SendAsync(other, $$"""{"type":"response.create","model":"sim-echo","input":"two","previous_response_id":"{{id}}"}""");
        var error = Assert.Single(await TurnAsync(other));
        Assert.Equal("error", error.GetProperty("type").GetString());
        Assert.Equal(400, error.GetProperty("status").GetInt32());
        Assert.Equal("previous_response_not_found", error.GetProperty("error").GetProperty("code").GetString());
        using var kept = await _gateway.Client.GetAsync(new Uri($"/v1/responses/{id}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, kept.StatusCode);
    }

    [Fact]
    public async Task Turn_InTheBackground_HasTheEventsOfTheStoredStream()
    {
        using var socket = await ConnectAsync();
        await SendAsync(socket, """{"type":"response.create","model":"sim-echo","input":"Hello there","background":true}""");
        var events = await TurnAsync(socket);
        Assert.Equal("queued", events[0].GetProperty("response").GetProperty("status").GetString());
        Assert.Equal("response.completed", events[^1].GetProperty("type").GetString());
        var id = events[^1].GetProperty("response").GetProperty("id").GetString();
        var stored = await _gateway.Client.GetStringAsync(new Uri($"/v1/responses/{id}?stream=true", UriKind.Relative), Cancel);
        var lines = stored.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => line[6..]);
        Assert.Equal(lines, events.Select(one => one.GetRawText()));

        // The connection serves the next turn.
        await SendAsync(socket, """{"type":"response.create","model":"sim-echo","input":"x"}""");
        Assert.Equal("response.completed", (await TurnAsync(socket))[^1].GetProperty("type").GetString());
    }

    /// <summary>The dialect has no event for a cancelled response. Without a last event, the client would wait for ever.</summary>
    [Fact]
    public async Task Turn_InTheBackgroundAndCancelled_EndsWithError()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = HeldAsync(gate.Task);
        using var socket = await ConnectAsync();
        await SendAsync(socket, """{"type":"response.create","model":"m","input":"x","background":true}""");
        var id = (await ReceiveAsync(socket))!.Value.GetProperty("response").GetProperty("id").GetString();
        while ((await ReceiveAsync(socket))!.Value.GetProperty("type").GetString() != "response.output_text.delta")
        {
            // Until the model writes.
        }
        using (var cancelled = await _gateway.Client.PostAsync(new Uri($"/v1/responses/{id}/cancel", UriKind.Relative), null, Cancel)) Assert.Equal(HttpStatusCode.OK, cancelled.StatusCode);
        var error = (await TurnAsync(socket))[^1];
        Assert.Equal("error", error.GetProperty("type").GetString());
        Assert.Equal("conflict", error.GetProperty("error").GetProperty("code").GetString());
        Assert.Contains("cancelled", error.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        using var kept = await _gateway.Client.GetAsync(new Uri($"/v1/responses/{id}", UriKind.Relative), Cancel);
        Assert.Equal("cancelled", JsonDocument.Parse(await kept.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("status").GetString());

        // The connection serves the next turn.
        await SendAsync(socket, """{"type":"response.create","model":"sim-echo","input":"x"}""");
        Assert.Equal("response.completed", (await TurnAsync(socket))[^1].GetProperty("type").GetString());
    }

    [Theory]
    [InlineData("nothing", 400, "malformed_json")]
    [InlineData("[]", 400, "malformed_json")]
    [InlineData("""{"model":"sim-echo","input":"x"}""", 400, "invalid_value")]
    [InlineData("""{"type":"response.cancel"}""", 400, "invalid_value")]
    [InlineData("""{"type":"response.create","input":"x"}""", 400, "missing_required_parameter")]
    [InlineData("""{"type":"response.create","model":"sim-echo","model":"sim-echo","input":"x"}""", 400, null)]
    [InlineData("""{"type":"response.create","model":"nobody-has-this","input":"x"}""", 404, "model_not_found")]
    public async Task Socket_InvalidMessage_ReturnsErrorAndStaysOpen(string message, int status, string? code)
    {
        using var socket = await ConnectAsync();
        await SendAsync(socket, message);
        var error = Assert.Single(await TurnAsync(socket));
        Assert.Equal("error", error.GetProperty("type").GetString());
        Assert.Equal(status, error.GetProperty("status").GetInt32());
        if (code is not null) Assert.Equal(code, error.GetProperty("error").GetProperty("code").GetString());
        Assert.StartsWith("req_", error.GetProperty("error").GetProperty("request_id").GetString(), StringComparison.Ordinal);
        await SendAsync(socket, """{"type":"response.create","model":"sim-echo","input":"x"}""");
        Assert.Equal("response.completed", (await TurnAsync(socket))[^1].GetProperty("type").GetString());
    }

    [Fact]
    public async Task Socket_MessageWhileResponseInProgress_ReturnsConflict()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = HeldAsync(gate.Task);
        using var socket = await ConnectAsync();
        const string request = """{"type":"response.create","model":"m","input":"x"}""";
        await SendAsync(socket, request);
        Assert.Equal("response.created", (await ReceiveAsync(socket))!.Value.GetProperty("type").GetString());
        await SendAsync(socket, request);
        JsonElement error;
        do error = (await ReceiveAsync(socket))!.Value;
        while (error.GetProperty("type").GetString() != "error");
        Assert.Equal(409, error.GetProperty("status").GetInt32());
        gate.SetResult();
        Assert.Equal("response.completed", (await TurnAsync(socket))[^1].GetProperty("type").GetString());
    }

    [Fact]
    public async Task Connection_Dropped_StopsItsResponse()
    {
        var gate = new TaskCompletionSource();
        var left = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            try
            {
                await HeldAsync(gate.Task)(context);
            }
            finally
            {
                left.SetResult();
            }
        };
        using (var socket = await ConnectAsync())
        {
            await SendAsync(socket, """{"type":"response.create","model":"m","input":"x"}""");
            while ((await ReceiveAsync(socket))!.Value.GetProperty("type").GetString() != "response.output_text.delta")
            {
                // Until the model writes.
            }
            socket.Abort();
        }
        await left.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel);
        var ledger = (InMemoryTokenLedger)_gateway.Services.GetRequiredService<ITokenLedger>();
        var drain = _gateway.Services.GetRequiredService<DrainState>();
        for (var i = 0; ledger.Totals().Open > 0 || drain.Active > 0; i++)
        {
            Assert.True(i < 2000, "Something is still held.");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        }
    }

    [Fact]
    public async Task Shutdown_ResponseInProgress_CompletesThenClosesSocket()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = HeldAsync(gate.Task);
        using var socket = await ConnectAsync();
        using var idle = await ConnectAsync();
        await SendAsync(socket, """{"type":"response.create","model":"m","input":"x"}""");
        while ((await ReceiveAsync(socket))!.Value.GetProperty("type").GetString() != "response.output_text.delta")
        {
            // Until the model writes.
        }
        _gateway.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        Assert.Null(await ReceiveAsync(idle));
        Assert.Equal(WebSocketCloseStatus.EndpointUnavailable, idle.CloseStatus);
        gate.SetResult();
        Assert.Equal("response.completed", (await TurnAsync(socket))[^1].GetProperty("type").GetString());
        Assert.Null(await ReceiveAsync(socket));
        Assert.Equal(WebSocketCloseStatus.EndpointUnavailable, socket.CloseStatus);
    }

    [Fact]
    public async Task Connection_OpenForAnHour_IsClosedWithReason()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var gateway = await TestGateway.StartAsync(configure: (builder, _) => builder.Services.AddSingleton<TimeProvider>(clock));
        using var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("Authorization", $"Bearer {gateway.Key}");
        await socket.ConnectAsync(new Uri(gateway.Url.Replace("http://", "ws://", StringComparison.Ordinal) + "/v1/responses"), Cancel);
        await SendAsync(socket, """{"type":"response.create","model":"nobody-has-this","input":"x"}""");
        await TurnAsync(socket);
        clock.Advance(TimeSpan.FromMinutes(60));
        var error = (await ReceiveAsync(socket))!.Value;
        Assert.Equal("websocket_connection_limit_reached", error.GetProperty("error").GetProperty("code").GetString());
        Assert.Null(await ReceiveAsync(socket));
        Assert.Equal(WebSocketCloseStatus.NormalClosure, socket.CloseStatus);
        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, Cancel);
    }

    [Fact]
    public async Task WebSocketUpgrade_WithoutKey_Returns401()
    {
        using var socket = new ClientWebSocket();
        var refused = await Assert.ThrowsAsync<WebSocketException>(() => socket.ConnectAsync(Address, Cancel));
        Assert.Contains("401", refused.Message, StringComparison.Ordinal);
        using var plain = await _gateway.Client.GetAsync(new Uri("/v1/responses", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, plain.StatusCode);
        Assert.Equal(["POST"], plain.Content.Headers.Allow);
    }

    [Fact]
    public async Task Socket_KeyRevokedWhileConnected_RefusesNextTurn()
    {
        var (secret, id) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        using var socket = await ConnectAsync(secret);
        await SendAsync(socket, """{"type":"response.create","model":"sim-echo","input":"x"}""");
        Assert.Equal("response.completed", (await TurnAsync(socket))[^1].GetProperty("type").GetString());
        using (var revoked = await _gateway.Admin.PostAsync(new Uri($"/admin/v1/keys/{id}/revoke", UriKind.Relative), null, Cancel)) Assert.True(revoked.IsSuccessStatusCode);
        await SendAsync(socket, """{"type":"response.create","model":"sim-echo","input":"x"}""");
        var error = Assert.Single(await TurnAsync(socket));
        Assert.Equal("key_revoked", error.GetProperty("error").GetProperty("code").GetString());
    }

    private Uri Address => new(_gateway.Url.Replace("http://", "ws://", StringComparison.Ordinal) + "/v1/responses");

    private async Task<ClientWebSocket> ConnectAsync(string? key = null)
    {
        var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("Authorization", $"Bearer {key ?? _gateway.Key}");
        await socket.ConnectAsync(Address, Cancel);
        return socket;
    }

    private static Task SendAsync(ClientWebSocket socket, string message) => socket.SendAsync(Encoding.UTF8.GetBytes(message), WebSocketMessageType.Text, endOfMessage: true, Cancel);

    private static async Task<JsonElement?> ReceiveAsync(ClientWebSocket socket)
    {
        var bytes = new byte[256 * 1024];
        var length = 0;
        while (true)
        {
            var got = await socket.ReceiveAsync(bytes.AsMemory(length), Cancel);
            if (got.MessageType == WebSocketMessageType.Close) return null;
            length += got.Count;
            if (got.EndOfMessage) return JsonDocument.Parse(bytes.AsMemory(0, length)).RootElement;
        }
    }

    /// <summary>All events up to the last one of a response.</summary>
    private static async Task<List<JsonElement>> TurnAsync(ClientWebSocket socket)
    {
        var events = new List<JsonElement>();
        do events.Add((await ReceiveAsync(socket))!.Value);
        while (events[^1].GetProperty("type").GetString() is not ("response.completed" or "response.incomplete" or "response.failed" or "error"));
        return events;
    }

    private static IEnumerable<string> Types(IEnumerable<JsonElement> events) => events.Select(one => one.GetProperty("type").GetString()!).Distinct();

    private static Func<HttpContext, Task> HeldAsync(Task gate) => async context =>
    {
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"so"}"""));
        await gate.WaitAsync(context.RequestAborted);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":" far"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    };
}

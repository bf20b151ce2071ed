using System.Buffers;
using System.Net.WebSockets;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Responses;

/// <summary>
/// One connection of the WebSocket transport of Responses. Each message <c>response.create</c> is a request like any other, walked through the same endpoint; its events
/// leave as messages instead of as lines. One response at a time.
/// </summary>
internal sealed class ResponseSocket(HttpContext upgrade, WebSocket socket, Func<HttpContext, Task> serve, int maxMessageBytes, TimeProvider time) : IDisposable
{
    /// <summary>As OpenAI has it.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(60);

    private static readonly TimeSpan CloseGrace = TimeSpan.FromSeconds(5);

    // What belongs to the connection, or to a request of its own.
    private static readonly HashSet<string> NotCopied = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Upgrade", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Idempotency-Key", "Last-Event-ID", "Prefer", "Expect", "x-request-id",
    };

    private readonly SemaphoreSlim _sending = new(1, 1);
    private readonly ResponseSession _session = new();
    private Task _turn = Task.CompletedTask;
    private CancellationTokenSource? _turnStops;
    private volatile bool _isEnding;

    /// <summary>Serves the connection until it is closed; <paramref name="stopping"/> lets the response under way end and then closes it.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        using var age = new CancellationTokenSource(Lifetime, time);
        var isClosed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var old = age.Token.UnsafeRegister(_ => _ = CloseAsync(WebSocketCloseStatus.NormalClosure, new GatewayError(ErrorCode.Conflict, "The connection has reached its limit of 60 minutes.") { OpenAiCode = "websocket_connection_limit_reached", Remedy = "Connect again." }, isClosed.Task), null);
        using var stop = stopping.UnsafeRegister(_ => _ = CloseAsync(WebSocketCloseStatus.EndpointUnavailable, null, isClosed.Task), null);
        try
        {
            while (await ReceiveAsync() is { } message) await TakeAsync(message);
        }
        catch (WebSocketException)
        {
            // Gone without a word.
        }
        catch (OperationCanceledException)
        {
            // So is this.
        }
        finally
        {
            isClosed.SetResult();
            if (_turnStops is not null) await _turnStops.CancelAsync();
            await _turn;
            _turnStops?.Dispose();
        }
    }

    public void Dispose() => _sending.Dispose();

    private async Task TakeAsync(ReadOnlyMemory<byte> message)
    {
        var (body, fault) = RequestOf(message);
        if (fault is null && !_turn.IsCompleted) fault = new GatewayError(ErrorCode.Conflict, "A response is under way on this connection.") { Remedy = "Wait for its last event, or open another connection." };
        if (fault is null && _isEnding) fault = new GatewayError(ErrorCode.ShuttingDown, "The connection is about to be closed.") { RetryAfter = TimeSpan.FromSeconds(1) };
        if (fault is not null)
        {
            await SendAsync(ErrorEvent(fault, Ids.New("req_", time)));
            return;
        }
        _turnStops?.Dispose();
        _turnStops = CancellationTokenSource.CreateLinkedTokenSource(upgrade.RequestAborted);
        _turn = TurnAsync(body!, _turnStops);
    }

    /// <summary>Never throws.</summary>
    private async Task TurnAsync(byte[] body, CancellationTokenSource stops)
    {
        var exchange = new SocketExchange(stops.Cancel, stops.Token);
        var serving = ServeAsync(exchange, body);
        try
        {
            await PumpAsync(exchange);
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Nobody hears it any more.
            await stops.CancelAsync();
        }
        await exchange.Reader.CompleteAsync();
        await serving;
    }

    private async Task ServeAsync(SocketExchange exchange, byte[] body)
    {
        var features = new Microsoft.AspNetCore.Http.Features.FeatureCollection();
        features.Set<Microsoft.AspNetCore.Http.Features.IHttpRequestFeature>(new Microsoft.AspNetCore.Http.Features.HttpRequestFeature());
        features.Set<Microsoft.AspNetCore.Http.Features.IHttpResponseFeature>(exchange);
        features.Set<Microsoft.AspNetCore.Http.Features.IHttpResponseBodyFeature>(exchange);
        features.Set<Microsoft.AspNetCore.Http.Features.IHttpRequestLifetimeFeature>(exchange);
        features.Set(upgrade.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpConnectionFeature>());
        features.Set(_session);
        var context = new DefaultHttpContext(features) { RequestServices = upgrade.RequestServices };
        var request = context.Request;
        request.Method = HttpMethods.Post;
        request.Scheme = upgrade.Request.Scheme;
        request.Host = upgrade.Request.Host;
        request.PathBase = upgrade.Request.PathBase;
        request.Path = upgrade.Request.Path;
        request.Protocol = upgrade.Request.Protocol;
        foreach (var (name, values) in upgrade.Request.Headers)
        {
            if (!NotCopied.Contains(name) && !name.StartsWith("Sec-WebSocket-", StringComparison.OrdinalIgnoreCase)) request.Headers[name] = values;
        }
        request.ContentType = "application/json";
        request.ContentLength = body.Length;
        request.Body = new MemoryStream(body, writable: false);
        try
        {
            await serve(context);
        }
        catch (Exception exception) when (exception is OperationCanceledException or InvalidOperationException or IOException)
        {
            // The other end of the pipe is closed: the connection is gone.
        }
        await exchange.CompleteAsync();
    }

    private async Task PumpAsync(SocketExchange exchange)
    {
        using var events = new SseParser();
        using var whole = new PooledBuffer(1024);
        while (true)
        {
            var read = await exchange.Reader.ReadAsync(CancellationToken.None);
            // The head is fixed before the first byte.
            var isStream = exchange.StatusCode == StatusCodes.Status200OK && exchange.Headers.ContentType.ToString().StartsWith("text/event-stream", StringComparison.Ordinal);
            foreach (var segment in read.Buffer)
            {
                if (isStream) events.Append(segment.Span);
                else whole.Write(segment.Span);
            }
            exchange.Reader.AdvanceTo(read.Buffer.End);
            while (isStream && Next(events) is { } data) await SendAsync(data);
            if (read.IsCompleted) break;
        }
        if (whole.Length > 0) await SendAsync(ErrorEvent(exchange.StatusCode, whole.WrittenMemory));
    }

    private static byte[]? Next(SseParser events)
    {
        while (events.TryRead(out _, out var data))
        {
            // The mark of the end is for lines; a message that says it all came before it.
            if (!data.IsEmpty && !data.SequenceEqual("[DONE]"u8)) return data.ToArray();
        }
        return null;
    }

    /// <summary>The body of the request that a message stands for.</summary>
    private static (byte[]? Body, GatewayError? Error) RequestOf(ReadOnlyMemory<byte> message)
    {
        try
        {
            using var document = JsonDocument.Parse(message, new JsonDocumentOptions { MaxDepth = 1024 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) return (null, new GatewayError(ErrorCode.MalformedJson, "A message is a JSON object."));
            if (!root.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || type.GetString() != "response.create")
            {
                return (null, GatewayError.Invalid("type", "Invalid value for 'type': a message is of the type 'response.create'.") with { OpenAiCode = "invalid_value" });
            }
            var output = new ArrayBufferWriter<byte>(message.Length + 32);
            using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions))
            {
                json.WriteStartObject();
                foreach (var member in root.EnumerateObject())
                {
                    if (member.Name is not ("type" or "stream")) member.WriteTo(json);
                }
                // What else could it be.
                json.WriteBoolean("stream", true);
                json.WriteEndObject();
            }
            return (output.WrittenSpan.ToArray(), null);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return (null, new GatewayError(ErrorCode.MalformedJson, "The message is not valid JSON."));
        }
    }

    private static byte[] ErrorEvent(GatewayError error, string requestId)
    {
        using var body = new PooledBuffer(1024);
        ErrorBodyWriter.WriteBody(body, error, ErrorShape.OpenAi, requestId);
        return ErrorEvent(ErrorBodyWriter.StatusOf(error, ErrorShape.OpenAi), body.WrittenMemory);
    }

    private static byte[] ErrorEvent(int status, ReadOnlyMemory<byte> body)
    {
        var output = new ArrayBufferWriter<byte>(body.Length + 64);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("type", "error");
            json.WriteNumber("status", status);
            using var document = JsonDocument.Parse(body);
            foreach (var member in document.RootElement.EnumerateObject()) member.WriteTo(json);
            json.WriteEndObject();
        }
        return output.WrittenSpan.ToArray();
    }

    private async Task SendAsync(byte[] message)
    {
        await _sending.WaitAsync();
        try
        {
            await socket.SendAsync(message, WebSocketMessageType.Text, endOfMessage: true, upgrade.RequestAborted);
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>The next message; null when there will be none.</summary>
    private async Task<ReadOnlyMemory<byte>?> ReceiveAsync()
    {
        var message = new ArrayBufferWriter<byte>(4096);
        while (true)
        {
            // Not a token that would break the connection off: it is to be closed in good order.
            var got = await socket.ReceiveAsync(message.GetMemory(4096), CancellationToken.None);
            if (got.MessageType == WebSocketMessageType.Close)
            {
                if (socket.State == WebSocketState.CloseReceived) await CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null);
                return null;
            }
            message.Advance(got.Count);
            if (message.WrittenCount > maxMessageBytes)
            {
                await CloseOutputAsync(WebSocketCloseStatus.MessageTooBig, "The message is too large.");
                return null;
            }
            if (!got.EndOfMessage) continue;
            if (got.MessageType == WebSocketMessageType.Text) return message.WrittenMemory;
            await CloseOutputAsync(WebSocketCloseStatus.InvalidMessageType, "Messages are text.");
            return null;
        }
    }

    /// <summary>Closes the connection when the response under way has ended. Never throws.</summary>
    private async Task CloseAsync(WebSocketCloseStatus status, GatewayError? reason, Task isClosed)
    {
        _isEnding = true;
        await _turn;
        try
        {
            if (reason is not null) await SendAsync(ErrorEvent(reason, Ids.New("req_", time)));
            await CloseOutputAsync(status, null);
            await isClosed.WaitAsync(CloseGrace, time);
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException or ObjectDisposedException or TimeoutException)
        {
            // A client that does not answer is not waited for.
            socket.Abort();
        }
    }

    private async Task CloseOutputAsync(WebSocketCloseStatus status, string? words)
    {
        await _sending.WaitAsync();
        try
        {
            if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived) await socket.CloseOutputAsync(status, words, upgrade.RequestAborted);
        }
        finally
        {
            _sending.Release();
        }
    }
}

using System.Buffers;
using System.Net.WebSockets;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Responses;

/// <summary>What one connection may do.</summary>
/// <param name="MaxMessageBytes">Length of one message.</param>
/// <param name="MaxMessageTime">Time from the first byte of a message to its last.</param>
internal readonly record struct SocketLimits(int MaxMessageBytes, TimeSpan MaxMessageTime);

/// <summary>
/// One connection of the WebSocket transport of Responses. Each message <c>response.create</c> is a request like any other, walked through the same endpoint; its events
/// leave as messages instead of as lines. One response at a time.
/// </summary>
internal sealed class ResponseSocket(HttpContext upgrade, WebSocket socket, Func<HttpContext, Task> serve, SocketLimits limits, MemoryBudget memory, DrainState drain, TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>As OpenAI has it.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(60);

    /// <summary>A longer event is not sent as a message.</summary>
    internal const int MaxEventBytes = SseParser.DefaultMaxEventBytes;

    private const int ReadBytes = 4096;

    /// <summary>
    /// What of a message is sent at once. The socket copies what it is given into a frame, and the server copies the frame: a long message leaves in frames of this length,
    /// so that it is in memory once.
    /// </summary>
    private const int FrameBytes = 64 * 1024;

    /// <summary>How often a long event counts: while its buffer grows, the old one is there too.</summary>
    private const int Copies = 2;

    private static readonly TimeSpan CloseGrace = TimeSpan.FromSeconds(5);

    // What belongs to the connection, or to a request of its own.
    private static readonly HashSet<string> NotCopied = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Upgrade", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Idempotency-Key", "Last-Event-ID", "Prefer", "Expect", "x-request-id",
    };

    private readonly SemaphoreSlim _sending = new(1, 1);
    private readonly ResponseSession _session = new(memory);
    private readonly TaskCompletionSource _isClosed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private Task _turn = Task.CompletedTask;
    private CancellationTokenSource? _turnStops;
    private bool _isEnding;
    private volatile bool _isRefusing;

    /// <summary>Serves the connection until it is closed; <paramref name="stopping"/> lets the response under way end and then closes it.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        using var age = new CancellationTokenSource(Lifetime, time);
        using var old = age.Token.UnsafeRegister(_ => _ = CloseAsync(WebSocketCloseStatus.NormalClosure, new GatewayError(ErrorCode.Conflict, "The connection has reached its limit of 60 minutes.") { OpenAiCode = "websocket_connection_limit_reached", Remedy = "Connect again." }), null);
        using var stop = stopping.UnsafeRegister(_ => _ = CloseAsync(WebSocketCloseStatus.EndpointUnavailable, null), null);
        try
        {
            while (await ReceiveAsync() is { } message) await TakeAsync(message);
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Gone without a word.
        }
        finally
        {
            _isClosed.SetResult();
            Task turn;
            lock (_gate)
            {
                _isEnding = true;
                turn = _turn;
            }
            if (_turnStops is not null) await _turnStops.CancelAsync();
            await turn;
            _turnStops?.Dispose();
        }
    }

    public void Dispose()
    {
        _sending.Dispose();
        _session.Dispose();
    }

    private async Task TakeAsync(PooledBuffer message)
    {
        PooledBuffer? body;
        GatewayError? fault;
        using (message) (body, fault) = RequestOf(message.WrittenSpan);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (fault is null)
        {
            lock (_gate)
            {
                if (!_turn.IsCompleted) fault = new GatewayError(ErrorCode.Conflict, "A response is under way on this connection.") { Remedy = "Wait for its last event, or open another connection." };
                else if (_isEnding) fault = new GatewayError(ErrorCode.ShuttingDown, "The connection is about to be closed.") { RetryAfter = TimeSpan.FromSeconds(1) };
                // Known before it begins: its first event may reach the client, and a closing begin, before the call that begins it has returned.
                else _turn = ended.Task;
            }
        }
        if (fault is not null)
        {
            body?.Dispose();
            await SendAsync(ErrorEvent(fault));
            return;
        }
        _turnStops?.Dispose();
        _turnStops = CancellationTokenSource.CreateLinkedTokenSource(upgrade.RequestAborted);
        _ = TurnAsync(body!, _turnStops, ended);
    }

    /// <summary>Never throws.</summary>
    private async Task TurnAsync(PooledBuffer body, CancellationTokenSource stops, TaskCompletionSource ended)
    {
        // Until its last event is sent, and not only written.
        drain.Enter();
        try
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
            catch (Exception exception)
            {
                if (exception is not MemoryExhaustedException) ResponsesLog.TurnFailed(logger, exception);
                await stops.CancelAsync();
                await TellAsync((exception as MemoryExhaustedException)?.Error ?? new GatewayError(ErrorCode.InternalError, "Something went wrong inside the gateway while the response was sent."));
            }
            await exchange.Reader.CompleteAsync();
            await serving;
        }
        catch (Exception exception)
        {
            ResponsesLog.TurnFailed(logger, exception);
        }
        finally
        {
            body.Dispose();
            drain.Leave();
            ended.SetResult();
        }
    }

    private async Task ServeAsync(SocketExchange exchange, PooledBuffer body)
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
        request.Body = new BufferStream(body);
        try
        {
            await serve(context);
        }
        catch (Exception exception) when (exception is OperationCanceledException or InvalidOperationException or IOException)
        {
            // The other end of the pipe is closed: the connection is gone.
        }
        finally
        {
            // Whatever happened, whoever reads the other end learns that it is over.
            await exchange.CompleteAsync();
        }
    }

    private async Task PumpAsync(SocketExchange exchange)
    {
        using var events = new SseParser(MaxEventBytes, memory, Copies);
        using var whole = new PooledBuffer(1024, memory);
        var told = false;
        while (true)
        {
            var read = await exchange.Reader.ReadAsync(CancellationToken.None);
            // The head is fixed before the first byte.
            var isStream = exchange.StatusCode == StatusCodes.Status200OK && exchange.Headers.ContentType.ToString().StartsWith("text/event-stream", StringComparison.Ordinal);
            foreach (var segment in read.Buffer)
            {
                if (!isStream) whole.Write(segment.Span);
                else if (!events.TooLarge) events.Append(segment.Span);
            }
            exchange.Reader.AdvanceTo(read.Buffer.End);
            while (isStream && Next(events))
            {
                told = true;
                await SendAsync(events.Data);
            }
            if (events.TooLarge)
            {
                await SendAsync(ErrorEvent(new GatewayError(ErrorCode.PayloadTooLarge, $"An event of this response is larger than {MaxEventBytes:N0} bytes, which is the limit of a message on a WebSocket.") { Remedy = "Retrieve the response by its id if it was stored, or send the request over HTTP, which has no such limit." }));
                // The rest goes unsent; the call itself ends as it would.
                await DrainAsync(exchange);
                return;
            }
            if (read.IsCompleted) break;
        }
        if (whole.Length > 0) await SendAsync(ErrorEvent(exchange.StatusCode, whole.WrittenMemory));
        else if (!told) await SendAsync(ErrorEvent(new GatewayError(ErrorCode.InternalError, "The request ended without a response.")));
    }

    private static async Task DrainAsync(SocketExchange exchange)
    {
        while (true)
        {
            var read = await exchange.Reader.ReadAsync(CancellationToken.None);
            exchange.Reader.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return;
        }
    }

    private static bool Next(SseParser events)
    {
        while (events.TryRead(out _, out var data))
        {
            // The mark of the end is for lines; a message that says it all came before it.
            if (!data.IsEmpty && !data.SequenceEqual("[DONE]"u8)) return true;
        }
        return false;
    }

    /// <summary>The body of the request that a message stands for: its members as they came, without those that are about the transport.</summary>
    private (PooledBuffer? Body, GatewayError? Error) RequestOf(ReadOnlySpan<byte> message)
    {
        PooledBuffer? body = null;
        try
        {
            var json = new Utf8JsonReader(message, new JsonReaderOptions { MaxDepth = 1024 });
            json.Read();
            if (json.TokenType != JsonTokenType.StartObject) return (null, new GatewayError(ErrorCode.MalformedJson, "A message is a JSON object."));
            body = new PooledBuffer(ReadBytes, memory) { Expected = message.Length + 32 };
            body.Write("{"u8);
            var isCreate = false;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var start = (int)json.TokenStartIndex;
                var isType = json.ValueTextEquals("type"u8);
                var isKept = !isType && !json.ValueTextEquals("stream"u8);
                json.Read();
                if (isType) isCreate = json.TokenType == JsonTokenType.String && json.ValueTextEquals("response.create"u8);
                json.Skip();
                if (!isKept) continue;
                body.Write(message[start..(int)json.BytesConsumed]);
                body.Write(","u8);
            }
            // Nothing may follow.
            json.Read();
            if (isCreate)
            {
                // What else could it be.
                body.Write("\"stream\":true}"u8);
                return (body, null);
            }
            body.Dispose();
            return (null, GatewayError.Invalid("type", "Invalid value for 'type': a message is of the type 'response.create'.") with { OpenAiCode = "invalid_value" });
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            body?.Dispose();
            return (null, new GatewayError(ErrorCode.MalformedJson, "The message is not valid JSON."));
        }
        catch (MemoryExhaustedException exhausted)
        {
            body?.Dispose();
            return (null, exhausted.Error);
        }
    }

    private byte[] ErrorEvent(GatewayError error)
    {
        using var body = new PooledBuffer(1024);
        ErrorBodyWriter.WriteBody(body, error, ErrorShape.OpenAi, Ids.New("req_", time));
        return ErrorEvent(ErrorBodyWriter.StatusOf(error, ErrorShape.OpenAi), body.WrittenMemory);
    }

    private byte[] ErrorEvent(int status, ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 1024 });
            var output = new ArrayBufferWriter<byte>(body.Length + 64);
            using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions))
            {
                json.WriteStartObject();
                json.WriteString("type", "error");
                json.WriteNumber("status", status);
                foreach (var member in document.RootElement.EnumerateObject()) member.WriteTo(json);
                json.WriteEndObject();
            }
            return output.WrittenSpan.ToArray();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Something between here and the endpoint answered in its own way, such as with a page.
            return ErrorEvent(new GatewayError(ErrorCode.InternalError, $"The request was answered with status {status}, and with a body that is no JSON error."));
        }
    }

    private async Task SendAsync(ReadOnlyMemory<byte> message)
    {
        await _sending.WaitAsync();
        try
        {
            while (message.Length > FrameBytes)
            {
                await socket.SendAsync(message[..FrameBytes], WebSocketMessageType.Text, endOfMessage: false, upgrade.RequestAborted);
                message = message[FrameBytes..];
            }
            await socket.SendAsync(message, WebSocketMessageType.Text, endOfMessage: true, upgrade.RequestAborted);
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Sends an error as far as that is still possible.</summary>
    private async Task TellAsync(GatewayError error)
    {
        try
        {
            await SendAsync(ErrorEvent(error));
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // Nobody hears it any more.
        }
    }

    /// <summary>The next message, which the caller disposes of; null when there will be none.</summary>
    private async Task<PooledBuffer?> ReceiveAsync()
    {
        // What an idle connection needs is not counted.
        var message = new PooledBuffer(ReadBytes, memory, uncounted: ReadBytes);
        ITimer? timer = null;
        var isTaken = false;
        try
        {
            while (true)
            {
                // Not a token that would break the connection off: it is to be closed in good order.
                var got = await socket.ReceiveAsync(message.GetMemory(ReadBytes), CancellationToken.None);
                if (got.MessageType == WebSocketMessageType.Close)
                {
                    if (socket.State == WebSocketState.CloseReceived) await CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null);
                    return null;
                }
                if (_isRefusing)
                {
                    // Its client is told; what it still sends is read over.
                    message.Clear();
                    continue;
                }
                message.Advance(got.Count);
                if (message.Length > limits.MaxMessageBytes)
                {
                    message.Clear();
                    await RefuseAsync(WebSocketCloseStatus.MessageTooBig, new GatewayError(ErrorCode.PayloadTooLarge, $"The message is larger than {limits.MaxMessageBytes:N0} bytes."));
                    return null;
                }
                if (!got.EndOfMessage)
                {
                    timer ??= time.CreateTimer(_ => _ = RefuseAsync(WebSocketCloseStatus.PolicyViolation, new GatewayError(ErrorCode.MalformedJson, $"The message was not complete within {limits.MaxMessageTime.TotalSeconds:0.###} s.") { Remedy = "Connect again, and send a message without a pause." }), null, limits.MaxMessageTime, Timeout.InfiniteTimeSpan);
                    continue;
                }
                if (got.MessageType == WebSocketMessageType.Text)
                {
                    isTaken = true;
                    return message;
                }
                await CloseOutputAsync(WebSocketCloseStatus.InvalidMessageType, "Messages are text.");
                return null;
            }
        }
        catch (MemoryExhaustedException exhausted)
        {
            // Given back first: others wait for it.
            message.Dispose();
            await RefuseAsync(WebSocketCloseStatus.InternalServerError, exhausted.Error);
            return null;
        }
        finally
        {
            if (timer is not null) await timer.DisposeAsync();
            if (!isTaken) message.Dispose();
        }
    }

    /// <summary>Ends the connection because of what its client sent: with an error, then in good order, then without. Never throws.</summary>
    private async Task RefuseAsync(WebSocketCloseStatus status, GatewayError error)
    {
        var isReading = !_isRefusing && status == WebSocketCloseStatus.PolicyViolation;
        _isRefusing = true;
        lock (_gate) _isEnding = true;
        try
        {
            await SendAsync(ErrorEvent(error)).WaitAsync(CloseGrace, time);
            await CloseOutputAsync(status, null).WaitAsync(CloseGrace, time);
            // A connection that is broken off with something unread takes the error with it.
            if (isReading) await _isClosed.Task.WaitAsync(CloseGrace, time);
            else await ReadOverAsync().WaitAsync(CloseGrace, time);
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException or ObjectDisposedException or TimeoutException or InvalidOperationException)
        {
            socket.Abort();
        }
    }

    private async Task ReadOverAsync()
    {
        var rest = new byte[ReadBytes];
        while ((await socket.ReceiveAsync(rest.AsMemory(), CancellationToken.None)).MessageType != WebSocketMessageType.Close)
        {
            // Until its client has closed too.
        }
    }

    /// <summary>Closes the connection when the response under way has ended. Never throws.</summary>
    private async Task CloseAsync(WebSocketCloseStatus status, GatewayError? reason)
    {
        Task turn;
        lock (_gate)
        {
            _isEnding = true;
            turn = _turn;
        }
        await turn;
        try
        {
            if (reason is not null) await SendAsync(ErrorEvent(reason));
            await CloseOutputAsync(status, null);
            await _isClosed.Task.WaitAsync(CloseGrace, time);
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

    /// <summary>A request's body as a stream, which gives its memory back when it was read.</summary>
    private sealed class BufferStream(PooledBuffer content) : Stream
    {
        private int _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(Span<byte> buffer)
        {
            var rest = content.WrittenSpan;
            if (_position >= rest.Length)
            {
                content.Dispose();
                return 0;
            }
            var count = Math.Min(buffer.Length, rest.Length - _position);
            rest.Slice(_position, count).CopyTo(buffer);
            _position += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => ValueTask.FromResult(Read(buffer.Span));

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => Task.FromResult(Read(buffer, offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}

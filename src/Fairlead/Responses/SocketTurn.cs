using System.Net;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Responses;

/// <summary>
/// One message <c>response.create</c> and its response, as the deliveries see them. It is authenticated again with the headers of its
/// connection: a revoked key does not live on in an open connection. Its response consists of events; status and headers are not sent.
/// </summary>
internal sealed class SocketTurn : IClientRequest, IClientResponse, IDisposable
{
    // These headers describe the connection, or belong to one request only.
    private static readonly HashSet<string> ConnectionHeaders = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Upgrade", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Idempotency-Key",
        "Last-Event-ID", "Prefer", "Expect", "x-request-id",
    };

    private readonly HttpContext _upgrade;
    private readonly SocketWriter _writer;
    private readonly CancellationTokenSource _stops;
    private readonly SocketEventOutput _events;
    private readonly HeaderDictionary _responseHeaders = [];
    private readonly IHeaderDictionary _requestHeaders;
    private PooledBuffer? _body;
    private bool _hasStarted;
    private volatile bool _hasSentError;
    private volatile bool _isAborted;

    /// <param name="upgrade">The request that opened the connection; only read.</param>
    /// <param name="headers">Its headers for each turn: see <see cref="HeadersOf"/>.</param>
    /// <param name="session">What the connection remembers.</param>
    /// <param name="body">The body of the request. The turn disposes it unless a call takes it.</param>
    /// <param name="writer">Sends messages.</param>
    /// <param name="memory">Counts long events.</param>
    /// <param name="stops">Stops the turn; the owner of the connection disposes it.</param>
    /// <param name="time">The clock.</param>
    public SocketTurn(
        HttpContext upgrade,
        IHeaderDictionary headers,
        ResponseSession session,
        PooledBuffer body,
        SocketWriter writer,
        MemoryBudget memory,
        CancellationTokenSource stops,
        TimeProvider time)
    {
        _upgrade = upgrade;
        _requestHeaders = headers;
        _body = body;
        _writer = writer;
        _stops = stops;
        _events = new SocketEventOutput(writer, memory, stops.Cancel);
        Session = session;
        Id = Ids.New("req_", time);
    }

    public string Id { get; }

    public bool HasGatewayId => true;

    public string Path => _upgrade.Request.Path.Value ?? "";

    public IPAddress? RemoteAddress => _upgrade.Connection.RemoteIpAddress;

    public ResponseSession? Session { get; }

    public int Status { get; set; } = StatusCodes.Status200OK;

    public bool HasStarted => _hasStarted || _hasSentError || _events.HasSent;

    /// <summary>
    /// Whether the client may have received the last event or an error, after which it may send its next message. Thread-safe.
    /// </summary>
    public bool HasSentLast => _hasSentError || _events.HasSentLast;

    public CancellationToken Aborted => _stops.Token;

    public IEventOutput Events => _events;

    IHeaderDictionary IClientRequest.Headers => _requestHeaders;

    IHeaderDictionary IClientResponse.Headers => _responseHeaders;

    /// <summary>The headers of the upgrade that hold for each request of its connection.</summary>
    public static IHeaderDictionary HeadersOf(HttpContext upgrade)
    {
        var headers = new HeaderDictionary();
        foreach (var (name, values) in upgrade.Request.Headers)
        {
            var isTransport = ConnectionHeaders.Contains(name) || name.StartsWith("Sec-WebSocket-", StringComparison.OrdinalIgnoreCase);
            if (!isTransport) headers[name] = values;
        }
        return headers;
    }

    public PublicAddress SiteOf(string? configured) => _upgrade.Request.GetPublicAddress(configured);

    public ValueTask<AuthenticationResult> AuthenticateAsync(ICallerSource callers, string? scope) =>
        callers.AuthenticateAsync(_upgrade, scope);

    public ValueTask<GatewayError?> ReadBodyAsync(GatewayCall call, RequestBounds limits)
    {
        // Not copied, and not kept here: a generation that outlives the turn takes it over.
        call.Body = _body!;
        _body = null;
        return ValueTask.FromResult(call.Body.Length > limits.MaxBodyBytes ? RequestReader.TooLarge(limits) : null);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _hasStarted = true;
        return Task.CompletedTask;
    }

    /// <summary>
    /// A request over a WebSocket is always streamed. A delivery that sends a body is a bug, and the client gets an error.
    /// </summary>
    public async ValueTask<bool> WriteBodyAsync(ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var message = $"The request ended with status {Status} and a body instead of events.";
        await SendErrorAsync(new GatewayError(ErrorCode.InternalError, message));
        return !_stops.IsCancellationRequested;
    }

    public Task WriteErrorAsync(GatewayError error, ErrorShape shape)
    {
        Status = ErrorBodyWriter.StatusOf(error, shape);
        return SendErrorAsync(ErrorBodyWriter.ForEndpoint(error, Path));
    }

    public void Clear()
    {
        Status = StatusCodes.Status200OK;
        _responseHeaders.Clear();
    }

    /// <summary>Ends the turn, with an error in <see cref="CompleteAsync"/>. The connection stays open for the next turn.</summary>
    public void Abort()
    {
        _isAborted = true;
        _stops.Cancel();
    }

    /// <summary>Ends the turn. Its last event is an error already, so none follows.</summary>
    public async Task AbortAfterFlushAsync()
    {
        await _events.CompleteAsync();
        await _stops.CancelAsync();
    }

    /// <summary>
    /// Waits until everything is sent. A turn that has sent nothing, or was aborted before its last event, ends with an error: the
    /// connection stays open, so its client would wait for ever.
    /// </summary>
    public async Task CompleteAsync()
    {
        await _events.CompleteAsync();
        if (HasSentLast || _upgrade.RequestAborted.IsCancellationRequested) return;
        if (!_events.HasSent)
        {
            await SendErrorAsync(new GatewayError(ErrorCode.InternalError, "The request ended without a response."));
        }
        else if (_isAborted)
        {
            await SendErrorAsync(new GatewayError(ErrorCode.InternalError, "The response ended before its last event.")
            {
                Remedy = "Retrieve the response by its id if it was stored, or send the request again.",
            });
        }
    }

    /// <summary>Call after <see cref="CompleteAsync"/>.</summary>
    public void Dispose()
    {
        _body?.Dispose();
        _events.Dispose();
    }

    private async Task SendErrorAsync(GatewayError error)
    {
        _hasSentError = true;
        try
        {
            await _writer.SendAsync(SocketErrorEvent.Of(error, Id, _upgrade.GetPublicAddress()));
        }
        catch (Exception exception) when (SocketWriter.IsGone(exception) || exception is InvalidOperationException)
        {
            await _stops.CancelAsync();
        }
    }
}

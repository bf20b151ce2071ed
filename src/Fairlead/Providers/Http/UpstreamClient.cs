using System.Diagnostics;
using System.Net;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>How a response is read.</summary>
internal enum UpstreamMode
{
    /// <summary>To its end, within the attempt's total time.</summary>
    Whole,

    /// <summary>As it arrives, with timeouts for the first content and between fragments.</summary>
    Stream,
}

/// <summary>
/// HTTP client of one provider: its own connection pool, plain requests, failures as values. Thread-safe.
/// </summary>
internal sealed class UpstreamClient : IDisposable
{
    /// <summary>Maximum size of a response; a provider that sends more is faulty.</summary>
    public const int MaxResponseBytes = 64 * 1024 * 1024;

    /// <summary>Number of bytes of an error body that are read.</summary>
    internal const int MaxErrorBytes = 64 * 1024;

    private static readonly System.Net.Http.Headers.MediaTypeHeaderValue Json = new("application/json");

    private readonly HttpMessageInvoker _invoker;
    private readonly KeyValuePair<string, string>[] _headers;
    private readonly TimeSpan _connectTimeout;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    /// <param name="config">Timeouts and headers of the provider.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The provider's log.</param>
    /// <param name="redirect">Sends the requests elsewhere; null for the provider itself.</param>
    public UpstreamClient(ProviderConfig config, TimeProvider time, ILogger logger,
        Func<SocketsHttpHandler, HttpMessageHandler>? redirect = null)
    {
        _time = time;
        _logger = logger;
        _headers = [.. config.Headers];
        _connectTimeout = config.Timeouts.Connect;
        var network = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = config.Timeouts.Connect,
            ConnectCallback = config.Connect,
            // Names are resolved again after this time; open responses continue.
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            // Less than the minute after which common load balancers silently drop a connection.
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(55),
            EnableMultipleHttp2Connections = true,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            KeepAlivePingDelay = TimeSpan.FromSeconds(30),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(20),
            // A response that is no longer needed is aborted, not read to its end: the provider stops generating, and billing.
            MaxResponseDrainSize = 0,
            ResponseDrainTimeout = TimeSpan.Zero,
            // Trace context is written here, so no activity is created for a call without a listener.
            ActivityHeadersPropagator = null,
            // Called once per connection, after TCP and TLS: only here the duration of both is known.
            PlaintextStreamFilter = (context, _) =>
            {
                if (context.InitialRequestMessage is UpstreamRequest request) request.ConnectedAt = time.GetTimestamp();
                return ValueTask.FromResult(context.PlaintextStream);
            },
        };
        _invoker = new HttpMessageInvoker(redirect is null ? network : redirect(network));
    }

    internal TimeProvider Time => _time;

    internal ILogger Logger => _logger;

    /// <summary>
    /// A POST of <paramref name="body"/> as JSON, with the provider's configured headers, the call's id and trace context. The adapter adds
    /// credentials. None of the client's own headers are included. The body must not change until <see cref="SendAsync"/> has returned.
    /// </summary>
    public UpstreamRequest CreatePost(Uri uri, ReadOnlyMemory<byte> body, GatewayCall call, UpstreamMode mode)
    {
        var content = new RentedContent(body);
        content.Headers.ContentType = Json;
        var request = new UpstreamRequest(uri)
        {
            Content = content,
            // By ALPN; plain http stays with 1.1.
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionOrLower,
        };
        var headers = request.Headers;
        headers.TryAddWithoutValidation("Accept", mode == UpstreamMode.Stream ? "text/event-stream" : "application/json");
        headers.TryAddWithoutValidation("Accept-Encoding", "identity");
        headers.TryAddWithoutValidation("User-Agent", "fairlead");
        headers.TryAddWithoutValidation("X-Client-Request-Id", call.RequestId);
        AddTrace(headers, call.IncomingTrace);
        AddConfigured(headers);
        return request;
    }

    private void AddConfigured(System.Net.Http.Headers.HttpRequestHeaders headers)
    {
        foreach (var header in _headers)
        {
            // The operator's value replaces ours.
            headers.Remove(header.Key);
            headers.TryAddWithoutValidation(header.Key, header.Value);
        }
    }

    /// <summary>A GET with the provider's configured headers. The adapter adds credentials.</summary>
    public HttpRequestMessage CreateGet(Uri uri)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, uri)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionOrLower,
        };
        request.Headers.TryAddWithoutValidation("User-Agent", "fairlead");
        AddConfigured(request.Headers);
        return request;
    }

    /// <summary>Sends a request without an attempt. The caller disposes the response.</summary>
    /// <exception cref="HttpRequestException">There is no response.</exception>
    public Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        _invoker.SendAsync(request, cancellationToken);

    /// <summary>
    /// Sends it once. The exchange has either a failure or a response with a success status. Disposes the request.
    /// </summary>
    /// <param name="sameDialect">
    /// Whether the body is the client's own, so that field names in the provider's errors are the client's.
    /// </param>
    /// <exception cref="OperationCanceledException">Only of <paramref name="cancellationToken"/>.</exception>
    public async ValueTask<UpstreamExchange> SendAsync(
        HttpRequestMessage request, Attempt attempt, UpstreamMode mode, bool sameDialect, CancellationToken cancellationToken)
    {
        var watch = new AttemptWatch(attempt.Deployment.Timeouts, _time, cancellationToken);
        HttpResponseMessage? response = null;
        var handedOver = false;
        try
        {
            var first = mode == UpstreamMode.Stream ? WaitingFor.FirstToken : WaitingFor.Response;
            if (attempt.Deployment.Timeouts.Connect < _connectTimeout && request.Content is RentedContent awaiting)
            {
                // The pool has the provider's connect timeout; this deployment has a shorter one.
                awaiting.SendStarting = () => watch.Arm(first);
                watch.Arm(WaitingFor.Connect);
            }
            else
            {
                watch.Arm(first);
            }
            attempt.Sent = true;
            var since = _time.GetTimestamp();
            response = await _invoker.SendAsync(request, watch.Token);
            if (request is UpstreamRequest { ConnectedAt: not 0 and var connected }) attempt.ConnectTicks = Math.Max(1, connected - since);
            attempt.UpstreamStatus = (int)response.StatusCode;
            attempt.Quota?.Report(attempt.KeyId, attempt.StartedAt, RateLimitReader.Read(response, _time));
            if (response.IsSuccessStatusCode && request.Content is RentedContent sending)
            {
                await sending.ReleaseAsync().WaitAsync(watch.Token);
            }
            if (response.StatusCode is HttpStatusCode.OK or HttpStatusCode.Created or HttpStatusCode.Accepted)
            {
                var exchange = new UpstreamExchange(this, response, watch, attempt);
                if (mode == UpstreamMode.Stream && exchange.IsLabelledDocument && await exchange.PeekMissingPathAsync())
                {
                    return new UpstreamExchange(new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderError,
                        "The model's provider does not have this path."), FailureClass.Failover,
                            attempt.UpstreamStatus)) { IsMissingPath = true };
                }
                (request as UpstreamRequest)?.Key?.Accepted();
                // The bytes show whether it has events or a document: labels are wrong too often.
                handedOver = true;
                return exchange;
            }
            using var body = await ReadErrorAsync(response, watch);
            if (request is UpstreamRequest { Key: { } key } && UpstreamErrors.RejectsKey((int)response.StatusCode, body.WrittenMemory))
            {
                attempt.HasOtherKey = key.Rejected();
            }
            return new UpstreamExchange(UpstreamErrors.FromResponse(response.StatusCode, response.Headers, body.WrittenMemory, attempt,
                sameDialect, _time, _logger))
            {
                RefusedStreamOptions = attempt.UpstreamStatus is 400 or 422 && body.WrittenSpan.IndexOf("stream_options"u8) >= 0,
                RefusedNames = attempt.UpstreamStatus is 400 or 422
                    && (body.WrittenSpan.IndexOf("developer"u8) >= 0 || body.WrittenSpan.IndexOf("max_completion_tokens"u8) >= 0),
                IsMissingPath = attempt.UpstreamStatus is 404 or 405 or 501 || UpstreamExchange.NamesMissingPath(body.WrittenSpan),
            };
        }
        catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException)
        {
            // Without a connection nothing reached the provider, whatever ended the wait for it.
            if (request.Content is RentedContent { Begun: false }) attempt.Sent = false;
            watch.ThrowIfStoppedByCaller();
            return new UpstreamExchange(ToFailure(e, watch, attempt));
        }
        finally
        {
            if (!handedOver)
            {
                response?.Dispose();
                watch.Dispose();
            }
            // Sending is aborted with the response and ends at once.
            if (request.Content is RentedContent content) await content.ReleaseAsync();
            request.Dispose();
        }
    }

    /// <summary>Converts an exception of the transport to a failure.</summary>
    internal GatewayReply.AttemptFailed ToFailure(Exception exception, AttemptWatch watch, Attempt attempt)
    {
        var deployment = attempt.Deployment;
        if (watch.TimedOut)
        {
            UpstreamLog.TimedOut(_logger, deployment.ProviderName, deployment.Name, watch.Waiting);
            // After a timeout the same deployment is not tried again; another one may respond.
            return new GatewayReply.AttemptFailed(TimeoutError(watch.Waiting), FailureClass.Failover, attempt.UpstreamStatus);
        }
        if (exception is OperationCanceledException)
        {
            attempt.Sent = false;
            UpstreamLog.Unreachable(_logger, deployment.ProviderName, deployment.Name, "connect timeout");
            return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderTimeout,
                "The connection to the model's provider timed out."), FailureClass.Failover);
        }
        var kind = (exception as HttpRequestException)?.HttpRequestError ?? (exception as HttpIOException)?.HttpRequestError
            ?? HttpRequestError.Unknown;
        switch (kind)
        {
            case HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError or HttpRequestError.ProxyTunnelError:
                attempt.Sent = false;
                UpstreamLog.Unreachable(_logger, deployment.ProviderName, deployment.Name, kind.ToString());
                return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderUnavailable, "The model's provider cannot be reached."),
                    FailureClass.Retry);
            case HttpRequestError.SecureConnectionError:
                attempt.Sent = false;
                UpstreamLog.OperatorMustAct(_logger, deployment.ProviderName, deployment.Name, 0, kind.ToString(),
                    "no trusted TLS connection");
                return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderUnavailable,
                    "No trusted TLS connection to the model's provider could be established."), FailureClass.Failover);
            default:
                UpstreamLog.BrokeOff(_logger, deployment.ProviderName, deployment.Name, kind.ToString());
                return new GatewayReply.AttemptFailed(BrokenError, FailureClass.Retry, attempt.UpstreamStatus);
        }
    }

    internal static readonly GatewayError BrokenError = new(ErrorCode.ProviderError,
        "The connection to the model's provider was lost before the response was complete.");

    internal static readonly GatewayError NoReasonError = new(ErrorCode.ProviderError,
        "The model's provider ended the response without a reason. It may not be complete.");

    internal static readonly GatewayError FailedReasonError = new(ErrorCode.ProviderError,
        "The model's provider stopped before the response was complete.");

    internal static GatewayError TimeoutError(WaitingFor waiting) => new(ErrorCode.ProviderTimeout, waiting switch
    {
        WaitingFor.Connect => "The connection to the model's provider timed out.",
        WaitingFor.FirstToken => "The model's provider did not start its response in time.",
        WaitingFor.StreamIdle => "The model's provider stopped in the middle of its response.",
        _ => "The model's provider did not complete its response in time.",
    })
    {
        IsTotalTimeout = waiting == WaitingFor.Total,
    };

    public void Dispose() => _invoker.Dispose();

    // As much of it as the limit allows; closing the connection discards the rest.
    private static async ValueTask<PooledBuffer> ReadErrorAsync(HttpResponseMessage response, AttemptWatch watch)
    {
        var buffer = new PooledBuffer();
        try
        {
            var stream = await Quirks.ContentDecoding.OpenAsync(response.Content, watch.Token);
            while (buffer.Length < MaxErrorBytes)
            {
                var read = await stream.ReadAsync(buffer.GetMemory(1024), watch.Token);
                if (read == 0) break;
                buffer.Advance(read);
            }
            return buffer;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // The status is sufficient.
            return buffer;
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }

    private static void AddTrace(System.Net.Http.Headers.HttpRequestHeaders headers, Telemetry.IncomingTrace? incoming)
    {
        if (Activity.Current is not { IdFormat: ActivityIdFormat.W3C } activity)
        {
            if (incoming is null) return;
            headers.TryAddWithoutValidation("traceparent", incoming.Parent);
            if (incoming.State is not null) headers.TryAddWithoutValidation("tracestate", incoming.State);
            return;
        }
        // Each upstream call has its own parent id: that of its span, if there is one.
        var parent = activity.Kind == ActivityKind.Client ? activity.SpanId : ActivitySpanId.CreateRandom();
        headers.TryAddWithoutValidation("traceparent",
            $"00-{activity.TraceId.ToHexString()}-{parent.ToHexString()}-{(activity.Recorded ? "01" : "00")}");
        if (activity.TraceStateString is { Length: > 0 } state) headers.TryAddWithoutValidation("tracestate", state);
    }
}

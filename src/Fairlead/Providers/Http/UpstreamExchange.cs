using Fairlead.Dialects.Quirks;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>
/// One request and its response: a failure, or an open response with a success status. Disposing it before the end aborts the connection at
/// once.
/// </summary>
internal sealed class UpstreamExchange : IDisposable
{
    /// <summary>Most responses are smaller, and are not counted.</summary>
    internal const int UncountedBytes = 16 * 1024;

    private readonly UpstreamClient? _client;
    private readonly HttpResponseMessage? _response;
    private readonly AttemptWatch? _watch;
    private readonly Attempt? _attempt;
    private byte[]? _replay;
    private Stream? _peeked;

    public UpstreamExchange(GatewayReply.AttemptFailed failure) => Failure = failure;

    /// <summary>Whether the error names <c>stream_options</c>, a field that older servers do not support.</summary>
    public bool RefusedStreamOptions { get; init; }

    /// <summary>Whether the error names one of the fields that older and newer servers name differently.</summary>
    public bool RefusedNames { get; init; }

    /// <summary>Whether the server does not have this path, or does not accept a POST there.</summary>
    public bool IsMissingPath { get; init; }

    public UpstreamExchange(UpstreamClient client, HttpResponseMessage response, AttemptWatch watch, Attempt attempt)
    {
        _client = client;
        _response = response;
        _watch = watch;
        _attempt = attempt;
    }

    /// <summary>The adapted tools of the request; null when they are the caller's own.</summary>
    public ToolAdapter? Tools { get; set; }

    /// <summary>The short tool names in a forwarded body; null when all names are short enough.</summary>
    public OpenAi.NativeToolNames? Names { get; set; }

    /// <summary>Not null when there is no response to read.</summary>
    public GatewayReply.AttemptFailed? Failure { get; }

    public HttpResponseMessage Response => _response!;

    public Attempt Attempt => _attempt!;

    internal AttemptWatch Watch => _watch!;

    internal UpstreamClient Client => _client!;

    /// <summary>The body, decoded if the provider compressed it.</summary>
    public ValueTask<Stream> OpenBodyAsync() =>
        _replay is not null ? ValueTask.FromResult<Stream>(new MemoryStream(_replay, writable: false))
        : _peeked is not null ? ValueTask.FromResult(_peeked)
        : ContentDecoding.OpenAsync(Response.Content, Watch.Token);

    /// <summary>Whether the content type is that of a document.</summary>
    public bool IsLabelledDocument =>
        _response!.Content.Headers.ContentType?.MediaType?.EndsWith("json", StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>
    /// Whether the start of the body reports that the server does not have the path. The body can still be read from its start.
    /// </summary>
    public async ValueTask<bool> PeekMissingPathAsync()
    {
        var stream = await OpenBodyAsync();
        var start = new byte[1024];
        var read = await stream.ReadAsync(start, Watch.Token);
        _peeked = new PrefixedStream(start[..read], stream);
        return NamesMissingPath(start.AsSpan(0, read));
    }

    /// <summary>Reopens <paramref name="body"/>, which was read completely: it holds events although none were requested.</summary>
    public void Replay(ReadOnlySpan<byte> body) => _replay = body.ToArray();

    /// <summary>Reads the whole body, at most <see cref="UpstreamClient.MaxResponseBytes"/>. The caller owns the buffer.</summary>
    /// <exception cref="OperationCanceledException">The caller's token was cancelled.</exception>
    public async ValueTask<(PooledBuffer? Body, GatewayReply.AttemptFailed? Failure)> ReadWholeAsync(
        int maxBytes = UpstreamClient.MaxResponseBytes)
    {
        var watch = Watch;
        var length = Response.Content.Headers.ContentEncoding.Count > 0 ? null : Response.Content.Headers.ContentLength;
        if (length > maxBytes) return (null, TooLarge());
        // One byte more than announced, so that the read that finds the end needs no larger array.
        PooledBuffer? buffer = null;
        try
        {
            buffer = new PooledBuffer(length is { } known ? (int)known + 1 : 8192, Attempt.Memory, uncounted: UncountedBytes);
            var stream = await OpenBodyAsync();
            while (true)
            {
                var read = await stream.ReadAsync(buffer.GetMemory(1), watch.Token);
                if (read == 0)
                {
                    if (!ContentDecoding.IsCompressed(buffer.WrittenSpan)) break;
                    // Compressed without a label.
                    stream = await ContentDecoding.OpenUnlabelledAsync(new MemoryStream(buffer.WrittenSpan.ToArray(), writable: false),
                        watch.Token);
                    buffer.Dispose();
                    buffer = new PooledBuffer(8192, Attempt.Memory, uncounted: UncountedBytes);
                    continue;
                }
                buffer.Advance(read);
                if (buffer.Length > maxBytes)
                {
                    buffer.Dispose();
                    return (null, TooLarge());
                }
            }
            if (buffer.WrittenSpan.StartsWith("\uFEFF"u8)) Replace(ref buffer, buffer.WrittenSpan[3..]);
            // In events, halves are joined when they are read.
            if (!DocumentText.IsEventStream(buffer.WrittenSpan) && HalfCharacters.RepairWhole(buffer.WrittenSpan) is { } repaired
                && !DocumentText.HoldsSeveral(buffer.WrittenMemory))
            {
                Replace(ref buffer, repaired);
            }
            return (buffer, null);
        }
        catch (MemoryExhaustedException exhausted)
        {
            buffer?.Dispose();
            UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name,
                "memory limit reached by the response");
            return (null, new GatewayReply.AttemptFailed(exhausted.Error, FailureClass.GiveBack, Attempt.UpstreamStatus));
        }
        catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException)
        {
            buffer?.Dispose();
            watch.ThrowIfStoppedByCaller();
            return (null, Client.ToFailure(e, watch, Attempt));
        }
        catch
        {
            buffer?.Dispose();
            throw;
        }
    }

    /// <summary>LM Studio reports a missing path with a success status.</summary>
    public static bool NamesMissingPath(ReadOnlySpan<byte> body) =>
        body.Length < 1024 && body.IndexOf("Unexpected endpoint or method"u8) >= 0;

    /// <summary>Replaces a body with its repaired bytes.</summary>
    public static void Replace(ref PooledBuffer body, ReadOnlySpan<byte> repaired)
    {
        var replacement = new PooledBuffer(Math.Max(1, repaired.Length));
        replacement.Write(repaired);
        body.Dispose();
        body = replacement;
    }

    public void Dispose()
    {
        _response?.Dispose();
        _watch?.Dispose();
    }

    /// <summary>The failure of a response that is invalid in its dialect: a log line for the operator, no details for the client.</summary>
    public GatewayReply.AttemptFailed Malformed()
    {
        if (Attempt.Meter.FailedReason is not null) return StoppedEarly();
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, "malformed response");
        return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderError,
            "The model's provider sent a response that cannot be read."), FailureClass.Retry, Attempt.UpstreamStatus);
    }

    /// <summary>The failure of an invalid body: its error, if the provider sent one with a success status.</summary>
    public GatewayReply.AttemptFailed Unreadable(PooledBuffer body) => UpstreamErrorBody.Find(body.WrittenSpan) is null
        ? Malformed()
        : UpstreamErrors.FromResponse(Response.StatusCode, Response.Headers, body.WrittenMemory, Attempt, sameDialect: false, Client.Time,
            Client.Logger);

    /// <summary>The failure of a whole response whose finish reason means that it is incomplete.</summary>
    public GatewayReply.AttemptFailed StoppedEarly()
    {
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name,
            UpstreamText.CleanCode(Attempt.Meter.FailedReason));
        return new GatewayReply.AttemptFailed(UpstreamClient.FailedReasonError, FailureClass.Retry, Attempt.UpstreamStatus);
    }

    private GatewayReply.AttemptFailed TooLarge()
    {
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, "response too large");
        return new GatewayReply.AttemptFailed(new GatewayError(ErrorCode.ProviderError,
            "The model's provider sent a response that is too large."), FailureClass.Failover, Attempt.UpstreamStatus);
    }
}

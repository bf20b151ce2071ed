using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>
/// One request and its answer under way: a failure, or an open answer with a good status. Disposing it before the end cuts the connection at once.
/// </summary>
internal sealed class UpstreamExchange : IDisposable
{
    /// <summary>Most responses are no longer, and go uncounted.</summary>
    internal const int UncountedBytes = 16 * 1024;

    private readonly UpstreamClient? _client;
    private readonly HttpResponseMessage? _response;
    private readonly AttemptWatch? _watch;
    private readonly Attempt? _attempt;
    private byte[]? _replay;
    private Stream? _peeked;

    public UpstreamExchange(ProviderReply.Failed failure) => Failure = failure;

    /// <summary>Whether the refusal names <c>stream_options</c>, a field that older servers do not know.</summary>
    public bool RefusedStreamOptions { get; init; }

    /// <summary>Whether the refusal names one of the fields that servers of different ages call by different names.</summary>
    public bool RefusedNames { get; init; }

    /// <summary>Whether the server has nothing at this path, or nothing that takes a POST.</summary>
    public bool IsMissingPath { get; init; }

    public UpstreamExchange(UpstreamClient client, HttpResponseMessage response, AttemptWatch watch, Attempt attempt)
    {
        _client = client;
        _response = response;
        _watch = watch;
        _attempt = attempt;
    }

    /// <summary>How the tools of the request were offered; null when as the caller wrote them.</summary>
    public ToolAdapter? Tools { get; set; }

    /// <summary>The short names of tools in a body that went through; null where all fit.</summary>
    public OpenAi.NativeToolNames? Names { get; set; }

    /// <summary>Not null when there is no answer to read.</summary>
    public ProviderReply.Failed? Failure { get; }

    public HttpResponseMessage Response => _response!;

    public Attempt Attempt => _attempt!;

    internal AttemptWatch Watch => _watch!;

    internal UpstreamClient Client => _client!;

    /// <summary>The body, decoded where the provider compressed it.</summary>
    public ValueTask<Stream> OpenBodyAsync() => _replay is not null ? ValueTask.FromResult<Stream>(new MemoryStream(_replay, writable: false))
        : _peeked is not null ? ValueTask.FromResult(_peeked)
        : ContentDecoding.OpenAsync(Response.Content, Watch.Token);

    /// <summary>Whether the body says that it is a document.</summary>
    public bool IsLabelledDocument => _response!.Content.Headers.ContentType?.MediaType?.EndsWith("json", StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>Whether the start of the body says that the server has nothing at the path. Nothing of the body is lost.</summary>
    public async ValueTask<bool> PeekMissingPathAsync()
    {
        var stream = await OpenBodyAsync();
        var start = new byte[1024];
        var read = await stream.ReadAsync(start, Watch.Token);
        _peeked = new PrefixedStream(start[..read], stream);
        return NamesMissingPath(start.AsSpan(0, read));
    }

    /// <summary>Makes <paramref name="body"/>, which was read whole, the body to be opened: it holds events although none were asked for.</summary>
    public void Replay(ReadOnlySpan<byte> body) => _replay = body.ToArray();

    /// <summary>Reads the whole body, at most <see cref="UpstreamClient.MaxAnswerBytes"/>. The caller owns the buffer.</summary>
    /// <exception cref="OperationCanceledException">The caller's token fired.</exception>
    public async ValueTask<(PooledBuffer? Body, ProviderReply.Failed? Failure)> ReadWholeAsync(int maxBytes = UpstreamClient.MaxAnswerBytes)
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
                    stream = await ContentDecoding.OpenUnlabelledAsync(new MemoryStream(buffer.WrittenSpan.ToArray(), writable: false), watch.Token);
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
            // Of events, halves are joined when they are read.
            if (!DocumentText.IsEventStream(buffer.WrittenSpan) && HalfCharacters.RepairWhole(buffer.WrittenSpan) is { } repaired && !DocumentText.HoldsSeveral(buffer.WrittenMemory)) Replace(ref buffer, repaired);
            return (buffer, null);
        }
        catch (MemoryExhaustedException exhausted)
        {
            buffer?.Dispose();
            UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, "no memory for the response");
            return (null, new ProviderReply.Failed(exhausted.Error, FailureClass.GiveBack, Attempt.UpstreamStatus));
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

    /// <summary>LM Studio says with a good status that it has nothing at a path.</summary>
    public static bool NamesMissingPath(ReadOnlySpan<byte> body) => body.Length < 1024 && body.IndexOf("Unexpected endpoint or method"u8) >= 0;

    /// <summary>Puts repaired bytes in the place of a body.</summary>
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

    /// <summary>The failure of an answer that is no valid answer of the dialect: an operator's log line, and nothing of it for the client.</summary>
    public ProviderReply.Failed Malformed()
    {
        if (Attempt.Meter.FailedReason is not null) return StoppedEarly();
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, "malformed answer");
        return new ProviderReply.Failed(new GatewayError(ErrorCode.ProviderError, "The model's provider sent an answer that cannot be read."), FailureClass.Retry, Attempt.UpstreamStatus);
    }

    /// <summary>The failure of a body that is no valid response: its error, where the provider put one behind a good status.</summary>
    public ProviderReply.Failed Unreadable(PooledBuffer body) => UpstreamErrorBody.Find(body.WrittenSpan) is null
        ? Malformed()
        : UpstreamErrors.FromResponse(Response.StatusCode, Response.Headers, body.WrittenMemory, Attempt, sameDialect: false, Client.Time, Client.Logger);

    /// <summary>The failure of a whole response whose reason says that it is not complete.</summary>
    public ProviderReply.Failed StoppedEarly()
    {
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, UpstreamText.CleanCode(Attempt.Meter.FailedReason));
        return new ProviderReply.Failed(UpstreamClient.FailedReasonError, FailureClass.Retry, Attempt.UpstreamStatus);
    }

    private ProviderReply.Failed TooLarge()
    {
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, "answer too large");
        return new ProviderReply.Failed(new GatewayError(ErrorCode.ProviderError, "The model's provider sent an answer that is too large."), FailureClass.Failover, Attempt.UpstreamStatus);
    }
}

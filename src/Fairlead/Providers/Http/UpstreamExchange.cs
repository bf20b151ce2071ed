using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>
/// One request and its answer under way: a failure, or an open answer with a good status. Disposing it before the end cuts the connection at once.
/// </summary>
internal sealed class UpstreamExchange : IDisposable
{
    /// <summary>Most responses are no longer, and go uncounted.</summary>
    private const int UncountedBytes = 16 * 1024;

    private readonly UpstreamClient? _client;
    private readonly HttpResponseMessage? _response;
    private readonly AttemptWatch? _watch;
    private readonly Attempt? _attempt;

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

    /// <summary>Not null when there is no answer to read.</summary>
    public ProviderReply.Failed? Failure { get; }

    public HttpResponseMessage Response => _response!;

    public Attempt Attempt => _attempt!;

    internal AttemptWatch Watch => _watch!;

    internal UpstreamClient Client => _client!;

    /// <summary>Whether the body may be read as events; a server that does not say is believed.</summary>
    public bool IsEventStream => _response!.Content.Headers.ContentType?.MediaType is not { } type
        || !(type.EndsWith("json", StringComparison.OrdinalIgnoreCase) || type.EndsWith("html", StringComparison.OrdinalIgnoreCase));

    /// <summary>Reads the whole body, at most <see cref="UpstreamClient.MaxAnswerBytes"/>. The caller owns the buffer.</summary>
    /// <exception cref="OperationCanceledException">The caller's token fired.</exception>
    public async ValueTask<(PooledBuffer? Body, ProviderReply.Failed? Failure)> ReadWholeAsync(int maxBytes = UpstreamClient.MaxAnswerBytes)
    {
        var watch = Watch;
        var length = Response.Content.Headers.ContentLength;
        if (length > maxBytes) return (null, TooLarge());
        // One byte more than announced, so that the read that finds the end needs no larger array.
        PooledBuffer? buffer = null;
        try
        {
            buffer = new PooledBuffer(length is { } known ? (int)known + 1 : 8192, Attempt.Memory, uncounted: UncountedBytes);
            var stream = await Response.Content.ReadAsStreamAsync(watch.Token);
            while (true)
            {
                var read = await stream.ReadAsync(buffer.GetMemory(1), watch.Token);
                if (read == 0) break;
                buffer.Advance(read);
                if (buffer.Length > maxBytes)
                {
                    buffer.Dispose();
                    return (null, TooLarge());
                }
            }
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

    public void Dispose()
    {
        _response?.Dispose();
        _watch?.Dispose();
    }

    /// <summary>The failure of an answer that is no valid answer of the dialect: an operator's log line, and nothing of it for the client.</summary>
    public ProviderReply.Failed Malformed()
    {
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, "malformed answer");
        return new ProviderReply.Failed(new GatewayError(ErrorCode.ProviderError, "The model's provider sent an answer that cannot be read."), FailureClass.Retry, Attempt.UpstreamStatus);
    }

    /// <summary>The failure of a body that is no valid response: its error, where the provider put one behind a good status.</summary>
    public ProviderReply.Failed Unreadable(PooledBuffer body) => UpstreamErrorBody.Find(body.WrittenSpan) is null
        ? Malformed()
        : UpstreamErrors.FromResponse(Response.StatusCode, Response.Headers, body.WrittenMemory, Attempt, sameDialect: false, Client.Time, Client.Logger);

    private ProviderReply.Failed TooLarge()
    {
        UpstreamLog.BrokeOff(Client.Logger, Attempt.Deployment.ProviderName, Attempt.Deployment.Name, "answer too large");
        return new ProviderReply.Failed(new GatewayError(ErrorCode.ProviderError, "The model's provider sent an answer that is too large."), FailureClass.Failover, Attempt.UpstreamStatus);
    }
}

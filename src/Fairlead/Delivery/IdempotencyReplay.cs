using System.Buffers;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>
/// Writes the response of a repeated request: the stored or running result of the first one. The repetition itself runs nothing and is not
/// charged. Thread-safe.
/// </summary>
internal sealed class IdempotencyReplay(
    GenerationWriter writer, IConfigurationSource configuration, PlaceholderShelf shelf, TimeProvider time)
{
    /// <summary>False if the reply is not that of a repeated request; then nothing was written.</summary>
    public async ValueTask<bool> TryWriteAsync(ClientExchange exchange, GatewayCall call, GatewayReply reply)
    {
        var response = exchange.Response;
        switch (reply)
        {
            case GatewayReply.Replayed replayed:
                // The bytes are counted with the body of the call, which lives until they are written.
                await WriteAsync(exchange, call, replayed);
                return true;
            case GatewayReply.Joined joined:
                using (joined.Log.Join())
                {
                    Start(response, call, joined.GenerationId, StatusCodes.Status200OK, "text/event-stream; charset=utf-8");
                    await FollowAsync(exchange, call, joined);
                }
                return true;
            case GatewayReply.ReplayedJob job:
                WriteAccepted(exchange, call, job.Record.Id);
                Start(response, call, job.Record.Id, StatusCodes.Status202Accepted, "application/json");
                var body = new ArrayBufferWriter<byte>(1024);
                await writer.WriteAsync(body, job.Record, response.Aborted);
                await response.WriteBodyAsync(body.WrittenMemory, response.Aborted);
                return true;
            default:
                return false;
        }
    }

    private async Task WriteAsync(ClientExchange exchange, GatewayCall call, GatewayReply.Replayed replayed)
    {
        var response = exchange.Response;
        if (replayed.Status == StatusCodes.Status202Accepted) WriteAccepted(exchange, call, replayed.GenerationId);
        Start(response, call, replayed.GenerationId, replayed.Status, replayed.ContentType);
        var isStream = replayed.ContentType.StartsWith("text/event-stream", StringComparison.Ordinal);
        var from = isStream ? ReplayLog.PositionAfter(replayed.Body, LastEventId(exchange.Request)) : 0;
        ReadOnlyMemory<byte> body = replayed.Body.AsMemory(from);
        if (shelf.Find(replayed.GenerationId, call.Caller.KeyId) is { } originals) body = originals.Restore(body.Span);
        if (!replayed.Broken) response.Headers.ContentLength = body.Length;
        await response.WriteBodyAsync(body, response.Aborted);
        await EndAsync(response, replayed.Broken);
    }

    private static void Start(IClientResponse response, GatewayCall call, string generationId, int status, string contentType)
    {
        // The generation has its own call, which is charged and recorded.
        call.HandedOver = true;
        response.Status = status;
        var headers = response.Headers;
        headers.ContentType = contentType;
        headers.CacheControl = "no-store";
        headers["Idempotent-Replayed"] = "true";
        headers["Fairlead-Generation"] = generationId;
        headers["Api-Version"] = call.Caller.ApiVersion;
        if (contentType.StartsWith("text/event-stream", StringComparison.Ordinal)) headers["X-Accel-Buffering"] = "no";
        // Those of this moment, while the body has those of the first response.
        ReplyHeaders.WriteNotices(headers, call);
    }

    private static void WriteAccepted(ClientExchange exchange, GatewayCall call, string generationId)
    {
        var headers = exchange.Response.Headers;
        AcceptedResponse.WriteLocation(headers, call, generationId);
        if (!exchange.Request.Headers.TryGetValue("Prefer", out var prefer) || !Preference.Of(prefer).RespondAsync) return;
        headers["Preference-Applied"] = "respond-async";
        headers.Vary = "Prefer";
    }

    private async Task FollowAsync(ClientExchange exchange, GatewayCall call, GatewayReply.Joined joined)
    {
        var (response, log) = (exchange.Response, joined.Log);
        await response.StartAsync(response.Aborted);
        var position = log.PositionAfter(LastEventId(exchange.Request));
        while (true)
        {
            var bytes = log.Read(position, out var changed);
            if (bytes is { Length: 0 }) break;
            if (bytes is not null)
            {
                position += bytes.Length;
                // The log has whole events.
                var events = shelf.Find(joined.GenerationId, call.Caller.KeyId) is { } originals ? originals.Restore(bytes) : bytes;
                if (!await response.WriteBodyAsync(events, response.Aborted)) return;
                continue;
            }
            try
            {
                await changed.WaitAsync(configuration.Current.Stream.KeepAlive, time, response.Aborted);
            }
            catch (TimeoutException)
            {
                if (!await response.WriteBodyAsync(response.Events.KeepAlive, response.Aborted)) return;
            }
        }
        await EndAsync(response, log.Broken || log.Overflowed);
    }

    // The same end as the first client saw: a failed stream ends with an aborted connection.
    private static async Task EndAsync(IClientResponse response, bool broken)
    {
        if (!broken) return;
        await response.Events.FlushAsync(response.Aborted);
        await response.AbortAfterFlushAsync();
    }

    private static string LastEventId(IClientRequest request) => request.Headers["Last-Event-ID"].ToString();
}

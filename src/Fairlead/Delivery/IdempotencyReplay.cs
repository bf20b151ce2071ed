using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>
/// Writes the response of a repeated request: the stored or running result of the first one. The repetition itself runs nothing and is not
/// charged. Thread-safe.
/// </summary>
internal sealed class IdempotencyReplay(GenerationWriter writer, IConfigurationSource configuration, TimeProvider time)
{
    private static readonly byte[] KeepAlive = ": keep-alive\n\n"u8.ToArray();

    /// <summary>False if the reply is not that of a repeated request; then nothing was written.</summary>
    public async ValueTask<bool> TryWriteAsync(HttpContext context, GatewayCall call, GatewayReply reply)
    {
        switch (reply)
        {
            case GatewayReply.Replayed replayed:
                // The bytes are counted with the body of the call, which lives until they are written.
                await WriteAsync(context, call, replayed);
                return true;
            case GatewayReply.Joined joined:
                using (joined.Log.Join())
                {
                    Start(context, call, joined.GenerationId, StatusCodes.Status200OK, "text/event-stream; charset=utf-8");
                    await FollowAsync(context, joined.Log);
                }
                return true;
            case GatewayReply.ReplayedJob job:
                Start(context, call, job.Record.Id, StatusCodes.Status202Accepted, "application/json");
                WriteAccepted(context, job.Record.Id);
                await writer.WriteAsync(context.Response.BodyWriter, job.Record, context.RequestAborted);
                await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
                return true;
            default:
                return false;
        }
    }

    private async Task WriteAsync(HttpContext context, GatewayCall call, GatewayReply.Replayed replayed)
    {
        Start(context, call, replayed.GenerationId, replayed.Status, replayed.ContentType);
        if (replayed.Status == StatusCodes.Status202Accepted) WriteAccepted(context, replayed.GenerationId);
        var isStream = replayed.ContentType.StartsWith("text/event-stream", StringComparison.Ordinal);
        var from = isStream ? ReplayLog.PositionAfter(replayed.Body, LastEventId(context)) : 0;
        if (!replayed.Broken) context.Response.ContentLength = replayed.Body.Length - from;
        await LargeBody.WriteAsync(context.Response.BodyWriter, replayed.Body.AsMemory(from), context.RequestAborted);
        await EndAsync(context, replayed.Broken);
    }

    private static void Start(HttpContext context, GatewayCall call, string generationId, int status, string contentType)
    {
        // The generation has its own call, which is charged and recorded.
        call.HandedOver = true;
        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = contentType;
        response.Headers.CacheControl = "no-store";
        response.Headers["Idempotent-Replayed"] = "true";
        response.Headers["Fairlead-Generation"] = generationId;
        response.Headers["Api-Version"] = call.Caller.ApiVersion;
        if (contentType.StartsWith("text/event-stream", StringComparison.Ordinal)) response.Headers["X-Accel-Buffering"] = "no";
    }

    private static void WriteAccepted(HttpContext context, string generationId)
    {
        AcceptedResponse.WriteLocation(context, generationId);
        if (!context.Request.Headers.TryGetValue("Prefer", out var prefer) || !Preference.Of(prefer).RespondAsync) return;
        context.Response.Headers["Preference-Applied"] = "respond-async";
        context.Response.Headers.Vary = "Prefer";
    }

    private async Task FollowAsync(HttpContext context, ReplayLog log)
    {
        await context.Response.StartAsync(context.RequestAborted);
        var output = context.Response.BodyWriter;
        var position = log.PositionAfter(LastEventId(context));
        while (true)
        {
            var bytes = log.Read(position, out var changed);
            if (bytes is { Length: 0 }) break;
            if (bytes is not null)
            {
                position += bytes.Length;
                if ((await output.WriteAsync(bytes, context.RequestAborted)).IsCompleted) return;
                continue;
            }
            try
            {
                await changed.WaitAsync(configuration.Current.Stream.KeepAlive, time, context.RequestAborted);
            }
            catch (TimeoutException)
            {
                if ((await output.WriteAsync(KeepAlive, context.RequestAborted)).IsCompleted) return;
            }
        }
        await EndAsync(context, log.Broken || log.Overflowed);
    }

    // The same end as the first client saw: a failed stream ends with an aborted connection.
    private async Task EndAsync(HttpContext context, bool broken)
    {
        if (!broken) return;
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
        await UncleanEnd.SendAsync(context, time);
    }

    private static string LastEventId(HttpContext context) => context.Request.Headers["Last-Event-ID"].ToString();
}

using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>Answers a repeated request with what came, or is coming, of the first one. The call of the repetition itself is none: nothing ran for it.</summary>
internal sealed class IdempotencyReplay(GenerationWriter writer, IConfigurationSource configuration, TimeProvider time)
{
    private static readonly byte[] KeepAlive = ": keep-alive\n\n"u8.ToArray();

    /// <summary>False when the reply is none of a repetition.</summary>
    public async ValueTask<bool> TryWriteAsync(HttpContext context, GatewayCall call, GatewayReply reply)
    {
        switch (reply)
        {
            case GatewayReply.Replayed replayed:
                // Counted with the body of the call, which lives until it is written.
                await WriteAsync(context, call, replayed);
                return true;
            case GatewayReply.Joined joined:
                using (joined.Log.Join())
                {
                    Begin(context, call, joined.GenerationId, StatusCodes.Status200OK, "text/event-stream; charset=utf-8");
                    await FollowAsync(context, joined.Log);
                }
                return true;
            case GatewayReply.ReplayedJob job:
                Begin(context, call, job.Record.Id, StatusCodes.Status202Accepted, "application/json");
                Accepted(context, job.Record.Id);
                await writer.WriteAsync(context.Response.BodyWriter, job.Record, context.RequestAborted);
                await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
                return true;
            default:
                return false;
        }
    }

    private async Task WriteAsync(HttpContext context, GatewayCall call, GatewayReply.Replayed replayed)
    {
        Begin(context, call, replayed.GenerationId, replayed.Status, replayed.ContentType);
        if (replayed.Status == StatusCodes.Status202Accepted) Accepted(context, replayed.GenerationId);
        var from = replayed.ContentType.StartsWith("text/event-stream", StringComparison.Ordinal) ? ReplayLog.PositionAfter(replayed.Body, LastEventId(context)) : 0;
        if (!replayed.Broken) context.Response.ContentLength = replayed.Body.Length - from;
        await LargeBody.WriteAsync(context.Response.BodyWriter, replayed.Body.AsMemory(from), context.RequestAborted);
        await EndAsync(context, replayed.Broken);
    }

    private static void Begin(HttpContext context, GatewayCall call, string generationId, int status, string contentType)
    {
        // The generation has its own call, which is charged and on record.
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

    private static void Accepted(HttpContext context, string generationId)
    {
        context.Response.Headers.Location = PublicAddress.Of(context).Reference($"/v2/generations/{generationId}");
        context.Response.Headers.RetryAfter = "1";
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

    // As the first client saw it: an unclean answer has an unclean end.
    private async Task EndAsync(HttpContext context, bool broken)
    {
        if (!broken) return;
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
        await UncleanEnd.SendAsync(context, time);
    }

    private static string LastEventId(HttpContext context) => context.Request.Headers["Last-Event-ID"].ToString();
}

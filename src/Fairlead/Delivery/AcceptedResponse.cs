using System.Buffers;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>Writes the immediate responses of generations that continue without their request. Thread-safe.</summary>
internal sealed class AcceptedResponse(GenerationWriter writer, IdempotencyKeys keys)
{
    /// <summary>202 with the generation and its address.</summary>
    public async Task WriteAsync(HttpContext context, GatewayCall call, GenerationRecord record)
    {
        var response = context.Response;
        response.StatusCode = StatusCodes.Status202Accepted;
        response.ContentType = "application/json";
        WriteLocation(context, record.Id);
        WriteHeaders(response, call, record.Id);
        var body = new ArrayBufferWriter<byte>(1024);
        // Without the client's token: the key of a client that has left must lead to this job. Otherwise a repetition starts another one.
        await writer.WriteAsync(body, record, CancellationToken.None);
        await keys.CompleteAsync(call, response.StatusCode, response.ContentType, body.WrittenMemory);
        await response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
    }

    /// <summary>200 with the object of the client's dialect.</summary>
    public async Task WriteInDialectAsync(HttpContext context, GatewayCall call, IBackgroundRequests background)
    {
        using var body = new PooledBuffer(1024);
        background.WriteAccepted(call, body);
        await keys.CompleteAsync(call, StatusCodes.Status200OK, "application/json", body.WrittenMemory);
        var response = context.Response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "application/json";
        WriteHeaders(response, call, call.GenerationId);
        response.ContentLength = body.Length;
        await response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
    }

    /// <summary>Where the generation can be read, and when that is useful.</summary>
    public static void WriteLocation(HttpContext context, string generationId)
    {
        context.Response.Headers.Location = PublicAddress.Of(context).Reference($"/v2/generations/{generationId}");
        context.Response.Headers.RetryAfter = "1";
    }

    private static void WriteHeaders(HttpResponse response, GatewayCall call, string generationId)
    {
        response.Headers.CacheControl = "no-store";
        response.Headers["Fairlead-Generation"] = generationId;
        response.Headers["Api-Version"] = call.Caller.ApiVersion;
    }
}

using System.Buffers;
using Fairlead.Dialects;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>Writes the immediate responses of generations that continue without their request. Thread-safe.</summary>
internal sealed class AcceptedResponse(GenerationWriter writer, IdempotencyKeys keys)
{
    /// <summary>202 with the generation and its address.</summary>
    public async Task WriteAsync(IClientResponse response, GatewayCall call, GenerationRecord record)
    {
        response.Status = StatusCodes.Status202Accepted;
        response.Headers.ContentType = "application/json";
        WriteLocation(response.Headers, call, record.Id);
        WriteHeaders(response.Headers, call, record.Id);
        var body = new ArrayBufferWriter<byte>(1024);
        // Without the client's token: the key of a client that has left must lead to this job. Otherwise a repetition starts another one.
        await writer.WriteAsync(body, record, CancellationToken.None);
        await keys.CompleteAsync(call, StatusCodes.Status202Accepted, "application/json", body.WrittenMemory);
        await response.WriteBodyAsync(body.WrittenMemory, response.Aborted);
    }

    /// <summary>200 with the object of the client's dialect.</summary>
    public async Task WriteInDialectAsync(IClientResponse response, GatewayCall call, IBackgroundRequests background)
    {
        using var body = new PooledBuffer(1024);
        background.WriteAccepted(call, body);
        await keys.CompleteAsync(call, StatusCodes.Status200OK, "application/json", body.WrittenMemory);
        response.Status = StatusCodes.Status200OK;
        response.Headers.ContentType = "application/json";
        WriteHeaders(response.Headers, call, call.GenerationId);
        response.Headers.ContentLength = body.Length;
        await response.WriteBodyAsync(body.WrittenMemory, response.Aborted);
    }

    /// <summary>Where the generation can be read, and when that is useful.</summary>
    public static void WriteLocation(IHeaderDictionary headers, GatewayCall call, string generationId)
    {
        headers.Location = call.Site.Reference($"/v2/generations/{generationId}");
        headers.RetryAfter = "1";
    }

    private static void WriteHeaders(IHeaderDictionary headers, GatewayCall call, string generationId)
    {
        headers.CacheControl = "no-store";
        headers["Fairlead-Generation"] = generationId;
        headers["Api-Version"] = call.Caller.ApiVersion;
        ReplyHeaders.WriteNotices(headers, call);
    }
}

using Fairlead.Errors;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>
/// Delivers the whole response in one body: 1. run the call, 2. replay the response of a repeated request, 3. end the call, 4. write and
/// store the body, 5. send it.
/// </summary>
internal sealed class SyncDelivery(
    GatewayPipeline pipeline,
    LiveCalls live,
    CallEnder ender,
    IdempotencyKeys keys,
    IdempotencyReplay replay,
    PlaceholderShelf shelf) : IDelivery
{
    public async Task<GatewayError?> DeliverAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan)
    {
        // 1.
        live.Start(exchange.Response, call);
        var reply = await pipeline.InvokeAsync(call, call.Cancellation.Token);
        if (reply is GatewayReply.Refused refused) return refused.Error;

        // 2. From here on, whatever fails: a body holds memory.
        using var native = (reply as GatewayReply.NativeBody)?.Body;
        if (!await replay.TryWriteAsync(exchange, call, reply)) await WriteAsync(exchange.Response, call, reply);
        return null;
    }

    private async Task WriteAsync(IClientResponse response, GatewayCall call, GatewayReply reply)
    {
        // 3. The usage must be fixed before it is written into the body.
        await ender.EndAsync(call, CallOutcome.Of(call), null, StatusCodes.Status200OK);

        // 4. Stored before it is sent: a client that has seen the response and repeats the request must get the same one.
        await call.Dialect.Responses.PrepareAsync(call, reply);
        var expected = (reply as GatewayReply.NativeBody)?.Body.Length ?? 1024;
        using var output = new PooledBuffer(expected + 2048, call.Memory, neverRefused: true);
        call.Dialect.Responses.Write(call, reply, output);
        if (call.Idempotency is not null || call.Facts.Responses is { Stores: true }) shelf.Keep(call);
        await keys.CompleteAsync(call, StatusCodes.Status200OK, "application/json", output.WrittenMemory);

        // 5.
        response.Status = StatusCodes.Status200OK;
        response.Headers.ContentType = "application/json";
        ReplyHeaders.Write(response.Headers, call);
        var body = Originals.Of(call) is { } originals ? originals.Restore(output.WrittenSpan) : output.WrittenMemory;
        response.Headers.ContentLength = body.Length;
        await response.WriteBodyAsync(body, response.Aborted);
    }
}

using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// The HTTP entry point of every generating endpoint: 1. refuse new calls while the server stops, 2. authenticate the caller by the
/// headers, 3. read the request, 4. plan its delivery, 5. deliver it, 6. end the call on every path. Every error is a value until here;
/// this is the only place that turns a bug into a response. Thread-safe.
/// </summary>
internal sealed class GatewayEndpoint(
    CallAuthentication authentication,
    CallReader reader,
    Deliveries deliveries,
    CallConclusion conclusion,
    DrainState drain,
    GatewayTelemetry telemetry,
    TimeProvider time,
    ILogger<GatewayEndpoint> logger)
{
    /// <summary>Serves one request in <paramref name="dialect"/>.</summary>
    public async Task HandleAsync(HttpContext context, Dialect dialect)
    {
        var requestId = RequestIds.Of(context, time);

        // 1.
        if (drain.IsDraining)
        {
            await RefuseWhileDrainingAsync(context, dialect);
            return;
        }

        // 2. The body of an unknown caller is not read.
        var arrived = time.GetTimestamp();
        if (await authentication.AuthenticateAsync(context, dialect, requestId) is not { } caller) return;

        drain.Enter();
        var call = reader.Create(context, dialect, caller, requestId);
        if (RequestIds.OfClient(context.Request) is { } named) CallLog.NamedByTheCaller(logger, requestId, named);
        call.Timings.Add(Phase.Auth, arrived);
        try
        {
            await ServeAsync(context, call);
        }
        catch (Exception exception)
        {
            // There may have been no memory even for the start of the body.
            call.Body ??= new PooledBuffer(16);
            await conclusion.EndAsync(context, call, exception);
        }
        finally
        {
            // 6.
            try
            {
                await conclusion.CompleteAsync(context, call);
            }
            finally
            {
                call.Cancellation?.Dispose();
                call.Body?.Dispose();
                drain.Leave();
            }
        }
    }

    private async Task ServeAsync(HttpContext context, GatewayCall call)
    {
        // 3.
        var error = await reader.ReadAsync(context, call);
        if (error is null)
        {
            // 4.
            (var plan, error) = DeliveryPlan.Of(call, context.Request.Headers);
            call.Streams = plan.Streams;

            // 5.
            error ??= await deliveries.Of(plan.Kind).DeliverAsync(context, call, plan);
        }
        if (error is null) return;

        // A live call is counted when it starts, a job when its run starts.
        if (call.Trace == CallTrace.None) telemetry.CallStarted(call);
        await conclusion.RefuseAsync(context, call, error);
    }

    private static Task RefuseWhileDrainingAsync(HttpContext context, Dialect dialect)
    {
        context.Response.Headers.Connection = "close";
        var error = new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down and takes no new calls.")
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        };
        return ErrorResponses.WriteAsync(context, error, dialect.ErrorShape);
    }
}

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
/// The entry point of every generating request: 1. refuse new calls while the server stops, 2. authenticate the caller by the headers,
/// 3. read the request, 4. plan its delivery, 5. deliver it, 6. end the call on every path. Every error is a value until here; this is
/// the only place that turns a bug into a response. Thread-safe.
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
    /// <summary>Serves one HTTP request in <paramref name="dialect"/>.</summary>
    public Task HandleAsync(HttpContext context, Dialect dialect)
    {
        var exchange = new HttpExchange(context, time);
        return HandleAsync(new ClientExchange(exchange, exchange), dialect);
    }

    /// <summary>Serves one request in <paramref name="dialect"/>, over any transport.</summary>
    public async Task HandleAsync(ClientExchange exchange, Dialect dialect)
    {
        var (request, response) = exchange;

        // 1.
        if (drain.IsDraining)
        {
            await RefuseWhileDrainingAsync(response, dialect);
            return;
        }

        // 2. The body of an unknown caller is not read.
        var arrived = time.GetTimestamp();
        if (await authentication.AuthenticateAsync(exchange, dialect) is not { } caller) return;

        drain.Enter();
        var call = reader.Create(request, dialect, caller);
        if (RequestIds.OfClient(request.Headers) is { } named) CallLog.NamedByTheCaller(logger, request.Id, named);
        call.Timings.Add(Phase.Auth, arrived);
        try
        {
            await ServeAsync(exchange, call);
        }
        catch (Exception exception)
        {
            // There may have been no memory even for the start of the body.
            call.Body ??= new PooledBuffer(16);
            await conclusion.EndAsync(response, call, exception);
        }
        finally
        {
            // 6.
            try
            {
                await conclusion.CompleteAsync(response, call);
            }
            finally
            {
                call.Cancellation?.Dispose();
                call.Body?.Dispose();
                drain.Leave();
            }
        }
    }

    private async Task ServeAsync(ClientExchange exchange, GatewayCall call)
    {
        var (request, response) = exchange;

        // 3.
        var error = await reader.ReadAsync(request, call, response.Aborted);
        if (error is null)
        {
            // 4.
            (var plan, error) = DeliveryPlan.Of(call, request.Headers);
            call.Streams = plan.Streams;

            // 5.
            error ??= await deliveries.Of(plan.Kind).DeliverAsync(exchange, call, plan);
        }
        if (error is null) return;

        // A live call is counted when it starts, a job when its run starts.
        if (call.Trace == CallTrace.None) telemetry.CallStarted(call);
        await conclusion.RefuseAsync(response, call, error);
    }

    private static Task RefuseWhileDrainingAsync(IClientResponse response, Dialect dialect)
    {
        response.Headers.Connection = "close";
        var error = new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down and accepts no new calls.")
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        };
        return response.WriteErrorAsync(error, dialect.ErrorShape);
    }
}

using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// Ends calls that no delivery has ended: refused, cancelled and failed ones. Every path goes through <see cref="CallEnder"/>, before the
/// error is written. Thread-safe.
/// </summary>
internal sealed class CallConclusion(
    CallEnder ender,
    IdempotencyKeys keys,
    GatewayTelemetry telemetry,
    ILogger<CallConclusion> logger)
{
    /// <summary>Ends a call that was refused before anything was sent, and writes its error.</summary>
    public async Task RefuseAsync(HttpContext context, GatewayCall call, GatewayError error)
    {
        error = call.Dialect.Requests.WithClientParameter(call, error);
        await EndAsync(context, call, Outcome.Failed, error);
    }

    /// <summary>Ends a call whose delivery threw <paramref name="exception"/>.</summary>
    public Task EndAsync(HttpContext context, GatewayCall call, Exception exception)
    {
        var hasStarted = context.Response.HasStarted;
        switch (exception)
        {
            case OperationCanceledException when !IsStray(context, call):
                return EndCancelledAsync(context, call);

            case GatewayErrorException refused when !hasStarted:
                return RefuseAsync(context, call, refused.Error);

            // The connection failed while the body was read.
            case BadHttpRequestException or IOException when call.Attempts.Count == 0 && !hasStarted:
                return RefuseAsync(context, call, RequestReader.BrokenBody(exception));

            default:
                CallLog.Unexpected(logger, call.RequestId, exception);
                return FailAsync(context, call);
        }
    }

    /// <summary>The last step of every call. If it has not ended, it ends here, so that no reservation and no key stays taken.</summary>
    public async Task CompleteAsync(HttpContext context, GatewayCall call)
    {
        var status = context.Response.StatusCode;
        if (call.HandedOver)
        {
            // The generation has a call of its own, which is charged and recorded.
            telemetry.CallEnded(call, status);
        }
        else
        {
            await ender.EndAsync(call, Outcome.Failed, null, status);
            telemetry.CallEnded(call, status);
            var outcome = call.Ending!.Outcome.ToWire();
            var milliseconds = call.Timings.Elapsed.TotalMilliseconds;
            CallLog.Ended(logger, call.RequestId, call.Endpoint, call.Facts.Model, outcome, status, milliseconds);
        }
        await keys.ConcludeAsync(call, new GatewayError(ErrorCode.InternalError, "The request of this Idempotency-Key ended without an answer."));
    }

    /// <summary>
    /// Whether nothing cancelled the call: its client waits and its time is not over. Ending it quietly would send an empty response that
    /// looks like success.
    /// </summary>
    private static bool IsStray(HttpContext context, GatewayCall call) =>
        call.Cancellation is { Reason: CancellationReason.None }
        && !context.RequestAborted.IsCancellationRequested
        && !context.Response.HasStarted;

    private async Task EndCancelledAsync(HttpContext context, GatewayCall call)
    {
        var reason = call.Cancellation?.Reason ?? CancellationReason.ClientLeft;
        var (outcome, error) = CallOutcome.Of(reason);
        if (reason is CancellationReason.None or CancellationReason.ClientLeft || context.Response.HasStarted)
        {
            // 499 is only in the record: no client reads a status.
            await ender.EndAsync(call, outcome, null, 499);
            if (context.Response.HasStarted) context.Abort();
            return;
        }
        await EndAsync(context, call, outcome, error);
    }

    private async Task EndAsync(HttpContext context, GatewayCall call, Outcome outcome, GatewayError error)
    {
        await ender.EndAsync(call, outcome, error, ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape));
        await keys.ConcludeAsync(call, error);
        ReplyHeaders.Write(context.Response, call);
        await ErrorResponses.WriteAsync(context, error, call.Dialect.ErrorShape);
    }

    private async Task FailAsync(HttpContext context, GatewayCall call)
    {
        var error = new GatewayError(
            ErrorCode.InternalError, "Something went wrong inside the gateway; the request id leads the operator to it.");
        await ender.EndAsync(call, Outcome.Failed, error, StatusCodes.Status500InternalServerError);
        if (context.Response.HasStarted)
        {
            // Otherwise the client takes what it has for the whole response.
            context.Abort();
            return;
        }
        context.Response.Clear();
        context.Response.Headers["x-request-id"] = call.RequestId;
        await ErrorResponses.WriteAsync(context, error, call.Dialect.ErrorShape);
    }
}

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
    public async Task RefuseAsync(IClientResponse response, GatewayCall call, GatewayError error)
    {
        error = call.Dialect.Requests.WithClientParameter(call, error);
        await EndAsync(response, call, Outcome.Failed, error);
    }

    /// <summary>Ends a call whose delivery threw <paramref name="exception"/>.</summary>
    public Task EndAsync(IClientResponse response, GatewayCall call, Exception exception)
    {
        var hasStarted = response.HasStarted;
        switch (exception)
        {
            case OperationCanceledException when !IsStray(response, call):
                return EndCancelledAsync(response, call);

            case GatewayErrorException refused when !hasStarted:
                return RefuseAsync(response, call, refused.Error);

            // The connection failed while the body was read.
            case BadHttpRequestException or IOException when call.Attempts.Count == 0 && !hasStarted:
                return RefuseAsync(response, call, RequestReader.BrokenBody(exception));

            default:
                CallLog.Unexpected(logger, call.RequestId, exception);
                return FailAsync(response, call);
        }
    }

    /// <summary>The last step of every call. If it has not ended, it ends here, so that no reservation and no key stays taken.</summary>
    public async Task CompleteAsync(IClientResponse response, GatewayCall call)
    {
        var status = response.Status;
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
        await keys.ConcludeAsync(
            call, new GatewayError(ErrorCode.InternalError, "The request of this Idempotency-Key ended without a response."));
    }

    /// <summary>
    /// Whether nothing cancelled the call: its client waits and its time is not over. Ending it quietly would send an empty response that
    /// looks like success.
    /// </summary>
    private static bool IsStray(IClientResponse response, GatewayCall call) =>
        call.Cancellation is { Reason: CancellationReason.None }
        && !response.Aborted.IsCancellationRequested
        && !response.HasStarted;

    private async Task EndCancelledAsync(IClientResponse response, GatewayCall call)
    {
        var reason = call.Cancellation?.Reason ?? CancellationReason.ClientLeft;
        var (outcome, error) = CallOutcome.Of(reason);
        if (reason is CancellationReason.None or CancellationReason.ClientLeft || response.HasStarted)
        {
            // 499 is only in the record: no client reads a status.
            await ender.EndAsync(call, outcome, null, 499);
            if (response.HasStarted) response.Abort();
            return;
        }
        await EndAsync(response, call, outcome, error);
    }

    private async Task EndAsync(IClientResponse response, GatewayCall call, Outcome outcome, GatewayError error)
    {
        await ender.EndAsync(call, outcome, error, ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape));
        await keys.ConcludeAsync(call, error);
        // The limits agree with the wait.
        ErrorResponses.WriteHeaders(response.Headers, error, call.Dialect.ErrorShape);
        ReplyHeaders.Write(response.Headers, call, error);
        await response.WriteErrorAsync(error, call.Dialect.ErrorShape);
    }

    private async Task FailAsync(IClientResponse response, GatewayCall call)
    {
        var error = new GatewayError(
            ErrorCode.InternalError, "An internal error occurred. The operator can find it by the request id.");
        await ender.EndAsync(call, Outcome.Failed, error, StatusCodes.Status500InternalServerError);
        if (response.HasStarted)
        {
            // Otherwise the client takes what it has for the whole response.
            response.Abort();
            return;
        }
        response.Clear();
        ReplyHeaders.WriteNotices(response.Headers, call);
        await response.WriteErrorAsync(error, call.Dialect.ErrorShape);
    }
}

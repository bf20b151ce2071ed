using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Pipeline;

/// <summary>Outcomes of the ways a call can end.</summary>
internal static class CallOutcome
{
    /// <summary>How a call that came to its end ended.</summary>
    public static Outcome Of(GatewayCall call) => call.Answering?.Meter.FinishReason is { } reason
        ? call.Violations is { Count: > 0 } ? Outcome.InvalidOutput : Of(reason)
        : Outcome.Complete;

    public static Outcome Of(FinishReason reason) => reason switch
    {
        FinishReason.Length => Outcome.Length,
        FinishReason.ToolCalls => Outcome.ToolCalls,
        FinishReason.ContentFilter => Outcome.ContentFilter,
        _ => Outcome.Complete,
    };

    /// <summary>What a fired token means for the call, and what its client is told if it is still there.</summary>
    public static (Outcome Outcome, GatewayError Error) Of(CancellationReason reason) => reason switch
    {
        CancellationReason.Deadline => (Outcome.Deadline, new GatewayError(ErrorCode.DeadlineExceeded, "The deadline of the request passed before the answer was complete.")),
        CancellationReason.AttemptTimeout => (Outcome.ProviderLost, new GatewayError(ErrorCode.ProviderTimeout, "The model's provider did not finish in time.")),
        CancellationReason.Shutdown => (Outcome.Cancelled, new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down.") { RetryAfter = TimeSpan.FromSeconds(1) }),
        CancellationReason.Requested => (Outcome.Cancelled, new GatewayError(ErrorCode.Conflict, "The generation was cancelled before it was complete.")),
        CancellationReason.LeaseLost => (Outcome.Cancelled, new GatewayError(ErrorCode.InternalError, "The run could not renew its lease and was stopped; another run takes its place.")),
        _ => (Outcome.Cancelled, new GatewayError(ErrorCode.InternalError, "The client left.")),
    };
}

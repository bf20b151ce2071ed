using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Pipeline;

/// <summary>Outcomes of the ways a call can end.</summary>
internal static class CallOutcome
{
    /// <summary>The outcome of a call that nothing stopped.</summary>
    public static Outcome Of(GatewayCall call) => call.Answering?.Meter.FinishReason is { } reason
        ? call.Violations is { Count: > 0 } ? call.StoppedByBudget ? Outcome.Budget : Outcome.InvalidOutput : Of(reason)
        : Outcome.Complete;

    public static Outcome Of(FinishReason reason) => reason switch
    {
        FinishReason.Length => Outcome.Length,
        FinishReason.ToolCalls => Outcome.ToolCalls,
        FinishReason.ContentFilter => Outcome.ContentFilter,
        _ => Outcome.Complete,
    };

    /// <summary>The outcome of a call that was stopped, and the error for its client if that is still connected.</summary>
    public static (Outcome Outcome, GatewayError Error) Of(CancellationReason reason) => reason switch
    {
        CancellationReason.Deadline => (
            Outcome.Deadline,
            new GatewayError(ErrorCode.DeadlineExceeded, "The deadline of the request passed before the response was complete.")),
        CancellationReason.AttemptTimeout => (
            Outcome.ProviderLost, new GatewayError(ErrorCode.ProviderTimeout, "The model's provider did not finish in time.")),
        CancellationReason.Shutdown => (
            Outcome.Cancelled,
            new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down.") { RetryAfter = TimeSpan.FromSeconds(1) }),
        CancellationReason.Requested => (
            Outcome.Cancelled, new GatewayError(ErrorCode.Conflict, "The generation was cancelled before it was complete.")),
        CancellationReason.LeaseLost => (
            Outcome.Cancelled,
            new GatewayError(ErrorCode.InternalError, "The run could not renew its lease and was stopped; another run replaces it.")),
        _ => (Outcome.Cancelled, new GatewayError(ErrorCode.InternalError, "The client left.")),
    };
}

using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Routing;

/// <summary>What the end of an attempt says about its deployment.</summary>
internal enum HealthVerdict
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>It works: it responded, even if it rejected the request.</summary>
    Works,

    /// <summary>It failed by its own fault.</summary>
    Failed,
}

/// <summary>Judges failed attempts.</summary>
internal static class HealthVerdicts
{
    /// <param name="call">The call.</param>
    /// <param name="attempt">The attempt that failed.</param>
    /// <param name="error">Its error.</param>
    public static HealthVerdict Of(GatewayCall call, Attempt attempt, GatewayError error) => error.Code switch
    {
        // Another attempt of the same request reports it.
        _ when !attempt.TryReport() => HealthVerdict.None,
        // Many servers have no moderations, and these may have limits of their own: other calls do not suffer for them.
        _ when call.Operation == Operation.Moderation => HealthVerdict.None,
        // The fault was ordered by the client, for itself only.
        _ when attempt.Deployment.Provider.IsFaultRequested(call) => HealthVerdict.None,
        // It is the key's fault, and another one is used from now on.
        _ when attempt.HasOtherKey => HealthVerdict.None,
        ErrorCode.ProviderRejected or ErrorCode.ContextLengthExceeded or ErrorCode.PayloadTooLarge => HealthVerdict.Works,
        // Some servers cannot count tokens, which has no meaning for other calls.
        ErrorCode.ProviderError when call.Operation == Operation.CountTokens => HealthVerdict.None,
        // It responds again, to as many as it can serve.
        ErrorCode.RateLimitExceeded when attempt.Health.IsTest => HealthVerdict.Works,
        // Something that the request names may not exist. A model that does not exist is cheap to find out again.
        _ when attempt.UpstreamStatus == 404 => HealthVerdict.None,
        ErrorCode.ProviderError or ErrorCode.ProviderUnavailable or ErrorCode.ProviderTimeout => HealthVerdict.Failed,
        // A rate limit is no fault: the deployment serves others, as many as it can. The rest is the gateway's own.
        _ => HealthVerdict.None,
    };
}

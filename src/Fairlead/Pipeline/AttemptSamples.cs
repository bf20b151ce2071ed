using Fairlead.Errors;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Adaptive;

namespace Fairlead.Pipeline;

/// <summary>Reads what an ended attempt says about its deployment.</summary>
internal static class AttemptSamples
{
    /// <summary>Bytes of output per token, where the provider reported no usage.</summary>
    private const double BytesPerToken = 4;

    public static AttemptSample Of(GatewayCall call, Attempt attempt, TimeProvider time) =>
        new(ResultOf(call, attempt), attempt.StartedAt, Math.Max(time.GetElapsedTime(attempt.StartedAt).TotalSeconds, 1e-6))
        {
            FirstTokenSeconds = attempt.FirstTokenAt == 0 ? 0 : time.GetElapsedTime(attempt.StartedAt, attempt.FirstTokenAt).TotalSeconds,
            PaceSeconds = attempt.StreamWaitTicks / (double)time.TimestampFrequency,
            InputTokens = Scheduler.InputTokensOf(call),
            OutputTokens = attempt.Meter.Reported is { OutputTokens: > 0 } usage
                ? usage.OutputTokens : attempt.Meter.OutputBytes / BytesPerToken,
            IsRateLimited = attempt.UpstreamStatus == 429 && !IsOrdered(call, attempt) && attempt.TryReport(),
            IsServerError = attempt.UpstreamStatus >= 500 && !IsOrdered(call, attempt) && attempt.TryReport(),
        };

    private static bool IsOrdered(GatewayCall call, Attempt attempt) => attempt.Deployment.Provider?.IsFaultRequested(call) == true;

    private static AttemptResult ResultOf(GatewayCall call, Attempt attempt)
    {
        // A test meets a deployment that is known to fail, whatever runs there. A fault that the call ordered is not the deployment's.
        if (attempt.Health.IsTest || IsOrdered(call, attempt)) return AttemptResult.Unknown;
        if (attempt.Error is not { } error) return ReferenceEquals(call.Answering, attempt) ? AttemptResult.Served : AttemptResult.Unknown;
        if (!attempt.Sent && error.Code != ErrorCode.ProviderTimeout && error.Code != ErrorCode.ProviderUnavailable)
            return AttemptResult.Unknown;
        if (attempt.UpstreamStatus is 429 or 503 or 529 || error.Code == ErrorCode.RateLimitExceeded) return AttemptResult.Refused;
        return attempt.UpstreamStatus >= 500 || error.Code is ErrorCode.ProviderTimeout or ErrorCode.ProviderUnavailable
            ? AttemptResult.Failed : AttemptResult.Unknown;
    }
}

using Fairlead.Errors;
using Fairlead.Ledger;
using Fairlead.TokenCounting;

namespace Fairlead.Pipeline;

/// <summary>What an attempt that is over is charged. Thread-safe.</summary>
internal sealed class AttemptCharge(TokenCounter counter)
{
    /// <summary>Fixes usage and cost of an attempt; the same again when nothing came in between.</summary>
    public void Fix(GatewayCall call, Attempt attempt)
    {
        attempt.Usage = UsageOf(call, attempt);
        attempt.Cost = attempt.Deployment.Prices.CostOf(attempt.Usage);
    }

    /// <summary>
    /// The provider's count when it gave one. Otherwise what can be known: nothing for an attempt that the provider refused or that never
    /// reached it; input, and the output seen, for one that was cut, timed out or left by the client.
    /// </summary>
    private Usage UsageOf(GatewayCall call, Attempt attempt)
    {
        var meter = attempt.Meter;
        if (meter.Reported is { } reported)
        {
            return meter.FinishReason is null ? AtLeast(reported, counter.EstimateOutput(meter, call.Model)) : reported;
        }
        if (!attempt.Sent || call.Operation == Operation.CountTokens) return default;
        var refused = attempt.UpstreamStatus is >= 400 || (attempt.Error is { Code: ErrorCode.ProviderUnavailable or ErrorCode.ProviderRejected or ErrorCode.ContextLengthExceeded } && !meter.HasContent);
        if (refused) return default;
        if (call.InputEstimate.Basis == Basis.Estimated) call.InputEstimate = counter.CountOrGuess(call);
        return new Usage(call.InputEstimate.Tokens, counter.EstimateOutput(meter, call.Model)) { Basis = Basis.Estimated };
    }

    // A cut stream may have reported usage at its start only (Anthropic does): the output seen since then counts too.
    private static Usage AtLeast(in Usage reported, long outputTokens) =>
        outputTokens <= reported.OutputTokens ? reported : reported with { OutputTokens = outputTokens, Basis = Basis.Estimated };
}

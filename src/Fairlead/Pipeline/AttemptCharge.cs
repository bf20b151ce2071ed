using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.TokenCounting;

namespace Fairlead.Pipeline;

/// <summary>What an attempt that is over is charged. Thread-safe.</summary>
internal sealed class AttemptCharge(TokenCounter counter)
{
    /// <summary>Fixes usage and cost of an attempt; the same again when nothing came in between.</summary>
    public void Fix(GatewayCall call, Attempt attempt)
    {
        (attempt.Usage, attempt.UsageDoubt) = UsageOf(call, attempt);
        attempt.Cost = attempt.Deployment.Prices.CostOf(attempt.Usage);
    }

    /// <summary>
    /// The provider's count as far as it can be true. Otherwise what can be known: nothing for an attempt that the provider refused or that never
    /// reached it; input, and the output seen, for one that was cut, timed out or left by the client.
    /// </summary>
    private ResolvedUsage UsageOf(GatewayCall call, Attempt attempt)
    {
        var meter = attempt.Meter;
        if (meter.Report is null)
        {
            if (!attempt.Sent || call.Operation == Operation.CountTokens) return default;
            var refused = attempt.UpstreamStatus is >= 400 || (attempt.Error is { Code: ErrorCode.ProviderUnavailable or ErrorCode.ProviderRejected or ErrorCode.ContextLengthExceeded } && !meter.HasContent);
            if (refused) return default;
        }
        return UsageResolver.Resolve(meter.Report, KnownOf(call, attempt), new Estimates(counter, call, meter));
    }

    /// <summary>What a report of the attempt's provider is held against.</summary>
    public static UsageKnown KnownOf(GatewayCall call, Attempt attempt)
    {
        var (facts, meter) = (call.Facts, attempt.Meter);
        return new UsageKnown
        {
            MakesOutput = call.Operation == Operation.Chat,
            IsFinished = meter.FinishReason is not null,
            HasOutput = meter.HasContent,
            OutputBytes = meter.OutputBytes,
            LeastOutput = meter.Output.LeastTokens,
            HasInput = facts.TextBytes > 0 || facts.MediaBytes > 0 || facts.ImageCount > 0 || facts.InputTokenIds > 0,
            InputBytes = facts.TextBytes,
            InputBound = call.InputBound,
            Window = call.Model.ContextWindow,
            MaxOutput = call.Model.MaxOutputTokens,
            Inputs = call.Operation == Operation.Embeddings ? Math.Max(1, facts.MessageCount) : facts.PromptCount,
            Choices = facts.ChargedChoices,
        };
    }

    private readonly struct Estimates(TokenCounter counter, GatewayCall call, OutputMeter meter) : IUsageEstimates
    {
        public long InputTokens()
        {
            if (call.InputEstimate.Basis == Basis.Estimated) call.InputEstimate = counter.CountOrGuess(call);
            return call.InputEstimate.Tokens;
        }

        public long OutputTokens() => counter.EstimateOutput(meter, call.Model);
    }
}

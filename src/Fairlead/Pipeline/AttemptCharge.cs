using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.TokenCounting;

namespace Fairlead.Pipeline;

/// <summary>Decides what an attempt that has ended is charged. Thread-safe.</summary>
internal sealed class AttemptCharge(TokenCounter counter)
{
    /// <summary>Sets usage and cost of an attempt. Calling it again changes nothing.</summary>
    public void Fix(GatewayCall call, Attempt attempt)
    {
        (attempt.Usage, attempt.UsageDoubt) = UsageOf(call, attempt);
        attempt.Cost = CostOf(call, attempt, attempt.Usage);
    }

    /// <summary>Makes the estimate of the call's input as good as it gets, from what the client asked.</summary>
    public void CountInput(GatewayCall call)
    {
        // The conversation of the moment has the text of the lost attempt too.
        if (call.Rescue is { IsPrefill: true }) return;
        if (call.InputEstimate.Basis == Basis.Estimated) call.InputEstimate = counter.CountOrGuess(call);
    }

    /// <summary>
    /// What a usage of the attempt costs: at the prices in force when the call was accepted, times the factor of the service tier in which
    /// the provider worked.
    /// </summary>
    public static Cost CostOf(GatewayCall call, Attempt attempt, in Usage usage)
    {
        var prices = attempt.Deployment.Prices.At(call.StartedAt);
        var cost = prices.CostOf(usage);
        var tiers = prices.ServiceTiers;
        if (tiers.All.Count == 0) return cost;
        var factor = attempt.Meter.ServiceTier is { } reported
            ? tiers.Of(reported)
            : tiers.OfUnreported(attempt.Deployment.Provider.ServiceTierFor(call));
        return cost with { Usd = cost.Usd * factor };
    }

    /// <summary>
    /// The provider's count if it can be true. Otherwise zero for an attempt that the provider refused or that did not reach it; and for an
    /// attempt that was truncated, timed out or left by the client, its input and the output that arrived.
    /// </summary>
    private ResolvedUsage UsageOf(GatewayCall call, Attempt attempt)
    {
        if (attempt.Share is { } share) return new ResolvedUsage(share, UsageDoubt.None);
        var meter = attempt.Meter;
        if (meter.Report is null)
        {
            if (!attempt.Sent || call.Operation == Operation.CountTokens) return default;
            var code = attempt.Error?.Code;
            var isRefusal = code is ErrorCode.ProviderUnavailable or ErrorCode.ProviderRejected or ErrorCode.ContextLengthExceeded;
            if (attempt.UpstreamStatus is >= 400 || (isRefusal && !meter.HasContent)) return default;
        }
        return UsageResolver.Resolve(meter.Report, KnownOf(call, attempt), new Estimates(this, counter, call, attempt));
    }

    /// <summary>What the usage report of the attempt's provider is compared with.</summary>
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
            MaxInputTokens = call.MaxInputTokens + attempt.ExtraInput,
            Window = call.Model.ContextWindow,
            MaxOutput = call.Model.MaxOutputTokens,
            Inputs = call.Operation == Operation.Embeddings ? Math.Max(1, facts.MessageCount) : facts.PromptCount,
            Choices = facts.ChargedChoices,
        };
    }

    private readonly struct Estimates(AttemptCharge charge, TokenCounter counter, GatewayCall call, Attempt attempt) : IUsageEstimates
    {
        public long InputTokens()
        {
            charge.CountInput(call);
            return call.InputEstimate.Tokens + attempt.ExtraInput;
        }

        public long OutputTokens() => counter.EstimateOutput(attempt.Meter, call.Model);
    }
}

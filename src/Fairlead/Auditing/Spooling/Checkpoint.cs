using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Auditing.Spooling;

/// <summary>What an attempt that is cut off at this moment has used.</summary>
internal static class Checkpoint
{
    // Four bytes a token is what English text has in the vocabularies of today; the true count replaces it when the call ends.
    private const int BytesPerToken = 4;

    /// <summary>The provider's own count where it is final; else its input count, or ours, with the output made so far. Then it is estimated.</summary>
    public static Usage UsageOf(GatewayCall call, Attempt attempt)
    {
        var usage = UsageResolver.Resolve(attempt.Meter.Report, AttemptCharge.KnownOf(call, attempt), new Estimates(call, attempt)).Usage;
        return attempt.Meter.FinishReason is null ? usage with { Basis = Basis.Estimated } : usage;
    }

    /// <summary>Tokens of the input by its bytes alone.</summary>
    public static long InputBySize(GatewayCall call) => ((long)call.Facts.TextBytes + BytesPerToken - 1) / BytesPerToken + call.Facts.InputTokenIds;

    private readonly struct Estimates(GatewayCall call, Attempt attempt) : IUsageEstimates
    {
        public long InputTokens() => call.InputEstimate.Tokens > 0 ? call.InputEstimate.Tokens : InputBySize(call);

        public long OutputTokens() => (attempt.Meter.Output.Total + 99) / 100;
    }
}

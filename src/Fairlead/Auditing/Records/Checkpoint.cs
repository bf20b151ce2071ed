using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Auditing.Records;

/// <summary>The usage of an attempt that stops at this moment.</summary>
internal static class Checkpoint
{
    // English text has four bytes per token in current vocabularies; the true count replaces the estimate when the call ends.
    private const int BytesPerToken = 4;

    /// <summary>
    /// The provider's own count if it is final; else its input count, or the gateway's, with the output so far. Then it is estimated.
    /// </summary>
    public static Usage UsageOf(GatewayCall call, Attempt attempt)
    {
        if (attempt.Share is { } share) return share;
        var usage = UsageResolver.Resolve(attempt.Meter.Report, AttemptCharge.KnownOf(call, attempt), new Estimates(call, attempt)).Usage;
        return attempt.Meter.FinishReason is null ? usage with { Basis = Basis.Estimated } : usage;
    }

    /// <summary>Tokens of the input by its bytes alone.</summary>
    public static long InputBySize(GatewayCall call) => ((long)call.Facts.TextBytes + BytesPerToken - 1) / BytesPerToken
        + call.Facts.InputTokenIds;

    private readonly struct Estimates(GatewayCall call, Attempt attempt) : IUsageEstimates
    {
        public long InputTokens() =>
            (call.InputEstimate.Tokens > 0 ? call.InputEstimate.Tokens : InputBySize(call)) + attempt.ExtraInput;

        public long OutputTokens() => (attempt.Meter.Output.Total + 99) / 100;
    }
}

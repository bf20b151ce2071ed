using Fairlead.Ledger;
using Fairlead.Pipeline;

namespace Fairlead.Auditing;

/// <summary>What an attempt that is cut off at this moment has used.</summary>
internal static class Checkpoint
{
    // Four bytes a token is what English text has in the vocabularies of today; the true count replaces it when the call ends.
    private const int BytesPerToken = 4;

    /// <summary>The provider's own count where it is final; else its input count, or ours, with the output made so far. Then it is estimated.</summary>
    public static Usage UsageOf(GatewayCall call, Attempt attempt)
    {
        var meter = attempt.Meter;
        var made = (meter.OutputBytes + BytesPerToken - 1) / BytesPerToken;
        if (meter.Reported is not { } reported)
        {
            var input = call.InputEstimate.Tokens > 0 ? call.InputEstimate.Tokens : InputBySize(call);
            return new Usage(input, made) { Basis = Basis.Estimated };
        }
        // Some providers say at the start what the input was, with an output of one or so; the answer went on since.
        if (meter.FinishReason is not null) return reported;
        return reported with { OutputTokens = Math.Max(reported.OutputTokens, made), Basis = Basis.Estimated };
    }

    /// <summary>Tokens of the input by its bytes alone.</summary>
    public static long InputBySize(GatewayCall call) => ((long)call.Facts.TextBytes + BytesPerToken - 1) / BytesPerToken + call.Facts.InputTokenIds;
}

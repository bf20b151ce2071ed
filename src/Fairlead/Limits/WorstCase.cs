using Fairlead.Ledger;
using Fairlead.Pipeline;
using Fairlead.StructuredOutput;

namespace Fairlead.Limits;

/// <summary>The most a call can use and cost: what is held before the provider counts.</summary>
internal static class WorstCase
{
    /// <summary>Output assumed where neither the caller nor the catalogue bounds it.</summary>
    public const int UnboundedOutputTokens = 8192;

    /// <param name="call">The call.</param>
    /// <param name="cap">Tokens of one output, if not what the request and the model say.</param>
    public static (long Input, long Output, decimal Usd) Of(GatewayCall call, int? cap = null)
    {
        var model = call.Model;
        var input = call.InputBound;
        long output = 0;
        if (call.Operation == Operation.Chat)
        {
            output = cap ?? call.Facts.MaxOutputTokens ?? model.MaxOutputTokens ?? UnboundedOutputTokens;
            output *= Math.Max(1, call.Facts.ChargedChoices);
        }

        // An answer that is asked for once more reads the first one too.
        if (call.Facts.Structured is { Repairs: true }) (input, output) = ((2 * input) + output + RepairRequest.MostTokens, 2 * output);

        decimal dearest = 0;
        var worst = new Usage(input, output);
        foreach (var deployment in model.Deployments)
        {
            dearest = Math.Max(dearest, deployment.Prices.CostOf(worst).Usd);
            if (deployment.Prices.AudioInput is not null && call.Facts.Has(RequestFeatures.Audio))
            {
                dearest = Math.Max(dearest, deployment.Prices.CostOf(worst with { AudioInputTokens = input }).Usd);
            }
            // Everything may turn out to be written to a cache at its premium.
            if (deployment.Prices.LongCacheWrite is not null || deployment.Prices.CacheWrite is not null)
            {
                dearest = Math.Max(dearest, deployment.Prices.CostOf(worst with { CacheWriteTokens = input, LongCacheWriteTokens = input }).Usd);
            }
        }
        return (input, output, dearest);
    }
}

using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Anthropic;
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
            output = cap ?? call.MaxOutputTokens ?? model.MaxOutputTokens ?? UnboundedOutputTokens;
            output *= Math.Max(1, call.Facts.ChargedChoices);
        }

        // An answer that is asked for once more reads the first one too.
        if (call.Facts.Structured is { Repairs: true }) (input, output) = ((2 * input) + output + RepairRequest.MostTokens, 2 * output);

        decimal dearest = 0;
        var worst = new Usage(input, output);
        foreach (var deployment in model.Deployments)
        {
            dearest = Math.Max(dearest, Dearest(deployment, worst, call));
        }
        return (input, output, dearest);
    }

    // Input and output are priced by themselves, so the dearest of each together is the dearest of all.
    private static decimal Dearest(Deployment deployment, in Usage worst, GatewayCall call)
    {
        var facts = call.Facts;
        var prices = deployment.Prices;
        var (input, output) = (worst.InputTokens, worst.OutputTokens);
        var usd = prices.CostOf(worst).Usd;
        if (facts.Has(RequestFeatures.AudioOutput)) usd = Math.Max(usd, prices.CostOf(worst with { AudioOutputTokens = output }).Usd);
        var dearestOutput = usd - prices.CostOf(worst).Usd;
        if (facts.Has(RequestFeatures.Audio)) usd = Math.Max(usd, dearestOutput + prices.CostOf(worst with { AudioInputTokens = input }).Usd);
        // Everything may turn out to be written to a cache at its premium. Anthropic has one that no price of the model need mention, and so
        // has any other server of Claude that passes the wish for an hour on.
        if (deployment.Provider.ChargesCacheWrites || prices.CacheWrite is not null || prices.LongCacheWrite is not null
            || prices.Tiers.Any(tier => tier.CacheWrite is not null || tier.LongCacheWrite is not null) || AsksForLongCache(call))
        {
            usd = Math.Max(usd, dearestOutput + prices.CostOf(worst with { CacheWriteTokens = input }).Usd);
            usd = Math.Max(usd, dearestOutput + prices.CostOf(worst with { CacheWriteTokens = input, LongCacheWriteTokens = input }).Usd);
        }
        return usd;
    }

    // Wherever it stands in the request. One that says it otherwise, by escapes, is charged all the same.
    private static bool AsksForLongCache(GatewayCall call) => call.Body is { Length: > 0 } body && body.WrittenSpan.IndexOf("\"1h\""u8) >= 0;
}

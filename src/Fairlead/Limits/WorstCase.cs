using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Anthropic;
using Fairlead.StructuredOutput;

namespace Fairlead.Limits;

/// <summary>The maximum usage and cost of a call: what is reserved before the provider counts.</summary>
internal static class WorstCase
{
    /// <summary>Output to assume where neither the caller nor the catalogue limits it.</summary>
    public const int UnboundedOutputTokens = 8192;

    /// <param name="call">The call.</param>
    /// <param name="cap">Tokens of one output, if different from the limits of the request and the model.</param>
    public static (long Input, long Output, decimal Usd) Of(GatewayCall call, int? cap = null)
    {
        var (input, output) = TokensOf(call, cap);
        return (input, output, Dearest(call, new Usage(input, output), readsBody: true));
    }

    /// <summary>
    /// The same without reading the body, for a call to which no budget of money applies. The price of a long cache that only the request
    /// names is missing.
    /// </summary>
    public static (long Input, long Output, decimal Usd) WithoutBody(GatewayCall call, int? cap = null)
    {
        var (input, output) = TokensOf(call, cap);
        return (input, output, Dearest(call, new Usage(input, output), readsBody: false));
    }

    /// <summary>The tokens of <see cref="Of"/>, where no price is needed.</summary>
    public static (long Input, long Output) TokensOf(GatewayCall call, int? cap = null)
    {
        var model = call.Model;
        var input = call.MaxInputTokens;
        long output = 0;
        if (call.Operation == Operation.Chat)
        {
            output = cap ?? call.MaxOutputTokens ?? model.MaxOutputTokens ?? UnboundedOutputTokens;
            output *= Math.Max(1, call.Facts.ChargedChoices);
        }

        // A repair attempt also reads the first response, and is the last.
        if (call.Rescue is { IsPrefill: true }) input += output;
        if (call.IsRepair) input += output + RepairRequest.MaxTokens;
        else if (call.Facts.Structured is { Repairs: true }) (input, output) = ((2 * input) + output + RepairRequest.MaxTokens, 2 * output);
        return (input, output);
    }

    /// <summary>The largest output in tokens, of each choice, that an amount of money and of tokens pays for; 0 for none.</summary>
    /// <param name="call">The call.</param>
    /// <param name="usd">US dollars; null for no limit.</param>
    /// <param name="tokens">Input and output together; null for no limit.</param>
    public static int AffordableOutput(GatewayCall call, decimal? usd, long? tokens)
    {
        // The price of an output never falls with its length, so the limit can be found by bisection.
        var low = 0;
        // Lower than a cap that was set before, never higher.
        var high = call.MaxOutputTokens ?? call.Model.MaxOutputTokens ?? UnboundedOutputTokens;
        while (low < high)
        {
            var middle = low + ((high - low + 1) / 2);
            var (input, output) = TokensOf(call, middle);
            if (!(input + output > tokens) && (usd is null || Of(call, middle).Usd <= usd)) low = middle;
            else high = middle - 1;
        }
        return low;
    }

    private static decimal Dearest(GatewayCall call, in Usage worst, bool readsBody)
    {
        decimal dearest = 0;
        var deployments = call.Model.Deployments;
        // Enumerators of an interface are allocated.
        for (var i = 0; i < deployments.Count; i++) dearest = Math.Max(dearest, Dearest(deployments[i], worst, call, readsBody));
        return dearest;
    }

    // Input and output are priced separately, so the highest price of each together is the highest of all. The call keeps the prices that
    // were in force when it was accepted, however long it waits and runs.
    private static decimal Dearest(Deployment deployment, in Usage worst, GatewayCall call, bool readsBody)
    {
        var facts = call.Facts;
        var prices = deployment.Prices.At(call.StartedAt);
        var (input, output) = (worst.InputTokens, worst.OutputTokens);
        var plain = prices.CostOf(worst).Usd;
        var usd = plain;
        if (facts.Has(RequestFeatures.AudioOutput)) usd = Math.Max(usd, prices.CostOf(worst with { AudioOutputTokens = output }).Usd);
        var dearestOutput = usd - plain;
        if (facts.Has(RequestFeatures.Audio))
            usd = Math.Max(usd, dearestOutput + prices.CostOf(worst with { AudioInputTokens = input }).Usd);
        // Everything may turn out to be written to a cache at a higher price. Anthropic has one that the model's prices need not mention,
        // and so has any other server of Claude that passes the one-hour setting on.
        if (deployment.Provider.ChargesCacheWrites || prices.CacheWrite is not null || prices.LongCacheWrite is not null
            || HasCacheWrites(prices.Tiers) || (readsBody && call.AsksForLongCache))
        {
            usd = Math.Max(usd, dearestOutput + prices.CostOf(worst with { CacheWriteTokens = input }).Usd);
            usd = Math.Max(usd, dearestOutput + prices.CostOf(worst with { CacheWriteTokens = input, LongCacheWriteTokens = input }).Usd);
        }
        return usd * prices.ServiceTiers.Dearest(deployment.Provider.ServiceTierFor(call));
    }

    private static bool HasCacheWrites(IReadOnlyList<PriceTier> tiers)
    {
        for (var i = 0; i < tiers.Count; i++)
        {
            if (tiers[i].CacheWrite is not null || tiers[i].LongCacheWrite is not null) return true;
        }
        return false;
    }
}

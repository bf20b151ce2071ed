using System.Globalization;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>The maximum that a caller pays for one call, compared with its worst case before anything is sent.</summary>
internal static class CallBudget
{
    /// <summary>
    /// If the caller set no maximum output, limits the output to what the budget covers. Null if the worst case is then covered; otherwise
    /// the error.
    /// </summary>
    public static GatewayError? Hold(GatewayCall call, decimal budget)
    {
        var (_, _, most) = WorstCase.Of(call);
        if (most <= budget) return null;
        if (call.MaxOutputTokens is null && Affordable(call, budget) is > 0 and var cap)
        {
            call.CapOutput(cap);
            call.Warn("output_capped",
                string.Create(CultureInfo.InvariantCulture,
                $"The output is limited to {cap} tokens, which is what the budget of the call covers."));
            return null;
        }
        return GatewayError.Invalid("budget_usd",
            string.Create(CultureInfo.InvariantCulture,
                $"The call may cost {most.ToString("0.############", CultureInfo.InvariantCulture)} US dollars, "
                + $"which is more than its budget of {budget}.")) with
        {
            Remedy = "Raise `budget_usd`, lower the output limit, or send less input.",
        };
    }

    /// <summary>Whether the budget covers one more attempt in addition to the cost of the others.</summary>
    public static bool Allows(GatewayCall call)
    {
        if (call.Facts.Extension.BudgetUsd is not { } budget || call.Attempts.Count == 0) return true;
        var spent = 0m;
        foreach (var attempt in call.Attempts) spent += attempt.Cost.Usd;
        return spent == 0 || spent + WorstCase.Of(call).Usd <= budget;
    }

    // The price of an output never falls with its length, so the limit can be found by bisection.
    private static int Affordable(GatewayCall call, decimal budget)
    {
        var low = 0;
        var high = call.Model.MaxOutputTokens ?? WorstCase.UnboundedOutputTokens;
        while (low < high)
        {
            var middle = low + ((high - low + 1) / 2);
            if (WorstCase.Of(call, middle).Usd <= budget) low = middle;
            else high = middle - 1;
        }
        return low;
    }
}

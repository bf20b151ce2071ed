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
        if (CallAmounts.CanBeCapped(call) && WorstCase.AffordableOutput(call, budget, null) is var cap && cap >= call.Dialect.MinOutputCap)
        {
            call.CapOutput(cap);
            WarnOfCap(call, cap, "which is what the budget of the call covers");
            return null;
        }
        return GatewayError.Invalid(call.Dialect.BudgetField,
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

    /// <summary>Says that the output is shorter than the request allows.</summary>
    public static void WarnOfCap(GatewayCall call, int cap, string why) => call.Warn("output_capped",
        string.Create(CultureInfo.InvariantCulture, $"The output is limited to {cap} tokens, {why}."));
}

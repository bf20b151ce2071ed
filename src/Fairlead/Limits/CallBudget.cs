using System.Globalization;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>The most that a caller wants to pay for one call, held against its worst case before anything is sent.</summary>
internal static class CallBudget
{
    /// <summary>
    /// Caps the output of a call to what its budget pays for when the caller set no cap. Null when all that can happen is paid for then; otherwise why the call is not made.
    /// </summary>
    public static GatewayError? Hold(GatewayCall call, decimal budget)
    {
        var (_, _, most) = WorstCase.Of(call);
        if (most <= budget) return null;
        if (call.MaxOutputTokens is null && Affordable(call, budget) is > 0 and var cap)
        {
            call.CapOutput(cap);
            call.Warn("output_capped", string.Create(CultureInfo.InvariantCulture, $"The output is capped to {cap} tokens, which is what the budget of the call pays for."));
            return null;
        }
        return GatewayError.Invalid("budget_usd", string.Create(CultureInfo.InvariantCulture, $"The call may cost {most.ToString("0.############", CultureInfo.InvariantCulture)} US dollars, which is more than its budget of {budget}.")) with
        {
            Remedy = "Raise `budget_usd`, lower the cap of the output, or send less input.",
        };
    }

    /// <summary>Whether one more attempt may be paid for beside what others have cost.</summary>
    public static bool Allows(GatewayCall call)
    {
        if (call.Facts.Extension.BudgetUsd is not { } budget || call.Attempts.Count == 0) return true;
        var spent = 0m;
        foreach (var attempt in call.Attempts) spent += attempt.Cost.Usd;
        return spent == 0 || spent + WorstCase.Of(call).Usd <= budget;
    }

    // The price of an output never falls with its length, so the border can be halved out.
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

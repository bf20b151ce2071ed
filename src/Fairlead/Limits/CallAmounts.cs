using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>What a call reserves: of rates what is expected, of budgets the worst case.</summary>
internal static class CallAmounts
{
    private const decimal PicoPerUsd = 1_000_000_000_000m;

    /// <summary>Output to expect where neither the request nor the history says anything.</summary>
    private const long DefaultOutputTokens = 1024;

    /// <param name="call">The call.</param>
    /// <param name="limits">The limits that apply to it.</param>
    /// <param name="histories">What keys usually get.</param>
    public static LimitAmounts Of(GatewayCall call, AppliedLimits limits, OutputHistories histories)
    {
        var (input, output, usd) = Worst(call, limits, null);
        return new LimitAmounts
        {
            Input = Math.Min(call.InputEstimate.Tokens, call.MaxInputTokens),
            Output = limits.OutputCapacity is { } capacity ? ExpectedOutput(call, capacity, histories) : 0,
            Tokens = input + output,
            Pico = ToPico(usd),
        };
    }

    /// <summary>The same with the shortest output that a dialect can ask for: the least that a call without a maximum can live with.</summary>
    public static LimitAmounts LeastOf(GatewayCall call, AppliedLimits limits, in LimitAmounts full)
    {
        if (!CanBeCapped(call)) return full;
        var (input, output, usd) = Worst(call, limits, call.Dialect.MinOutputCap);
        return full with { Tokens = input + output, Pico = ToPico(usd) };
    }

    private static (long Input, long Output, decimal Usd) Worst(GatewayCall call, AppliedLimits limits, int? cap) =>
        limits.HasMoney ? WorstCase.Of(call, cap) : WorstCase.WithoutBody(call, cap);

    /// <summary>Whether the request leaves the maximum output open.</summary>
    public static bool CanBeCapped(GatewayCall call) =>
        call.Operation == Operation.Chat && call.Facts.MaxOutputTokens is null && call.Dialect.MinOutputCap < int.MaxValue;

    /// <summary>Rounded up, so that the worst case is covered; exact for prices with up to six decimals.</summary>
    public static long ToPico(decimal usd) =>
        usd == 0 ? 0 : usd >= long.MaxValue / PicoPerUsd ? long.MaxValue : (long)Math.Ceiling(usd * PicoPerUsd);

    // A bucket cannot hold more than its capacity, and an estimate is no reason never to let a call pass. What it uses above that is debt.
    private static long ExpectedOutput(GatewayCall call, long capacity, OutputHistories histories)
    {
        if (call.Operation != Operation.Chat) return 0;
        var choices = Math.Max(1, call.Facts.ChargedChoices);
        var most = (long)(call.MaxOutputTokens ?? call.Model.MaxOutputTokens ?? WorstCase.UnboundedOutputTokens) * choices;
        var expected = histories.P90Of(call) ?? (call.MaxOutputTokens is null ? DefaultOutputTokens * choices : most);
        return Math.Max(1, Math.Min(Math.Min(expected, most), capacity));
    }
}

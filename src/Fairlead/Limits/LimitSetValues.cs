using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>Reads a <see cref="LimitSet"/> by <see cref="LimitName"/>.</summary>
internal static class LimitSetValues
{
    private static readonly LimitName[] Names = Enum.GetValues<LimitName>();

    /// <summary>All names, in the order in which limits are shown.</summary>
    public static IReadOnlyList<LimitName> All => Names;

    /// <summary>The declared value, or null. Money is in picodollars.</summary>
    public static long? ValueOf(this LimitSet set, LimitName name) => name switch
    {
        LimitName.RequestsPerMinute => set.RequestsPerMinute,
        LimitName.InputTokensPerMinute => set.InputTokensPerMinute,
        LimitName.OutputTokensPerMinute => set.OutputTokensPerMinute,
        LimitName.ConcurrentGenerations => set.ConcurrentGenerations,
        LimitName.TokensPerDay => set.TokensPerDay,
        LimitName.TokensPerMonth => set.TokensPerMonth,
        LimitName.UsdPerDay => set.PicoUsdPerDay,
        LimitName.UsdPerMonth => set.PicoUsdPerMonth,
        LimitName.InputTokensPerRequest => set.InputTokensPerRequest,
        LimitName.OutputTokensPerRequest => set.OutputTokensPerRequest,
        _ => null,
    };

    /// <summary>Whether the value is counted between calls. The limits of single requests are not.</summary>
    public static bool IsCounted(this LimitName name) => name < LimitName.InputTokensPerRequest;
}

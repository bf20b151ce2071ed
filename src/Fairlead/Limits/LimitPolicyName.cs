namespace Fairlead.Limits;

/// <summary>
/// Names of limits in the header fields <c>RateLimit</c> and <c>RateLimit-Policy</c>, such as <c>key-requests</c> or
/// <c>org-tokens-day-bulk</c>. Unique among the limits of one call, and the same on every response. Lower-case letters and hyphens.
/// </summary>
internal static class LimitPolicyName
{
    private static readonly int Names = Enum.GetValues<LimitName>().Length;

    private static readonly string[] Plain = Make();

    public static string Of(in LimitState state)
    {
        var name = Plain[IndexOf(state.Scope, state.Name)];
        return state.Class is { } ofClass ? $"{name}-{ofClass}" : name;
    }

    private static int IndexOf(LimitScope scope, LimitName name) => ((int)scope * Names) + (int)name;

    private static string[] Make()
    {
        var names = Enum.GetValues<LimitName>();
        var made = new string[Enum.GetValues<LimitScope>().Length * names.Length];
        foreach (var scope in Enum.GetValues<LimitScope>())
        {
            foreach (var name in names) made[IndexOf(scope, name)] = $"{Short(scope)}-{Short(name)}";
        }
        return made;
    }

    private static string Short(LimitScope scope) => scope == LimitScope.Organization ? "org" : scope.ToWire();

    private static string Short(LimitName name) => name switch
    {
        LimitName.RequestsPerMinute => "requests",
        LimitName.InputTokensPerMinute => "input-tokens",
        LimitName.OutputTokensPerMinute => "output-tokens",
        LimitName.ConcurrentGenerations => "concurrent",
        LimitName.TokensPerDay => "tokens-day",
        LimitName.TokensPerMonth => "tokens-month",
        LimitName.UsdPerDay => "usd-day",
        LimitName.UsdPerMonth => "usd-month",
        LimitName.InputTokensPerRequest => "input-tokens-request",
        LimitName.OutputTokensPerRequest => "output-tokens-request",
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, null),
    };
}

namespace Fairlead.Limits;

/// <summary>The kinds of limits. <see cref="LimitNames"/> has their names on the wire.</summary>
internal enum LimitName
{
    RequestsPerMinute,
    InputTokensPerMinute,
    OutputTokensPerMinute,
    ConcurrentGenerations,
    TokensPerDay,
    TokensPerMonth,
    UsdPerDay,
    UsdPerMonth,
    InputTokensPerRequest,
    OutputTokensPerRequest,
}

/// <summary>What a limit belongs to.</summary>
internal enum LimitScope
{
    Organization,
    Project,
    Key,

    /// <summary>All calls of one organization to one model.</summary>
    Model,
}

internal static class LimitNames
{
    public static string ToWire(this LimitName name) => name switch
    {
        LimitName.RequestsPerMinute => "requests_per_minute",
        LimitName.InputTokensPerMinute => "input_tokens_per_minute",
        LimitName.OutputTokensPerMinute => "output_tokens_per_minute",
        LimitName.ConcurrentGenerations => "concurrent_generations",
        LimitName.TokensPerDay => "tokens_per_day",
        LimitName.TokensPerMonth => "tokens_per_month",
        LimitName.UsdPerDay => "usd_per_day",
        LimitName.UsdPerMonth => "usd_per_month",
        LimitName.InputTokensPerRequest => "input_tokens_per_request",
        LimitName.OutputTokensPerRequest => "output_tokens_per_request",
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, null),
    };

    public static string ToWire(this LimitScope scope) => scope switch
    {
        LimitScope.Organization => "organization",
        LimitScope.Project => "project",
        LimitScope.Key => "key",
        LimitScope.Model => "model",
        _ => throw new ArgumentOutOfRangeException(nameof(scope), scope, null),
    };

    /// <summary>Whether the limit is a bucket that refills continuously.</summary>
    public static bool IsRate(this LimitName name) => name <= LimitName.OutputTokensPerMinute;

    /// <summary>Whether the limit is counted per calendar day or month in UTC and has its truth in the database.</summary>
    public static bool IsBudget(this LimitName name) => name is >= LimitName.TokensPerDay and <= LimitName.UsdPerMonth;

    public static bool IsMoney(this LimitName name) => name is LimitName.UsdPerDay or LimitName.UsdPerMonth;

    public static bool IsMonthly(this LimitName name) => name is LimitName.TokensPerMonth or LimitName.UsdPerMonth;
}

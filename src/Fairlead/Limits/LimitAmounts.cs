namespace Fairlead.Limits;

/// <summary>What one call takes from the limits that apply to it, before or after it ran. A call is one request and one generation.</summary>
internal readonly record struct LimitAmounts
{
    /// <summary>Input tokens for rates: the estimate before the call, the usage after it.</summary>
    public long Input { get; init; }

    /// <summary>Output tokens for rates: what is expected before the call, the usage after it.</summary>
    public long Output { get; init; }

    /// <summary>Input and output tokens for budgets: the worst case before the call, the usage after it.</summary>
    public long Tokens { get; init; }

    /// <summary>Picodollars for budgets: the worst case before the call, the cost after it.</summary>
    public long Pico { get; init; }

    /// <summary>Whether the call did not run, so that it is not even one request.</summary>
    public bool IsReleased { get; init; }

    public long Of(LimitName name) => name switch
    {
        LimitName.RequestsPerMinute or LimitName.ConcurrentGenerations => IsReleased ? 0 : 1,
        LimitName.InputTokensPerMinute => Input,
        LimitName.OutputTokensPerMinute => Output,
        LimitName.TokensPerDay or LimitName.TokensPerMonth => Tokens,
        LimitName.UsdPerDay or LimitName.UsdPerMonth => Pico,
        _ => 0,
    };
}

namespace Fairlead.Limits;

/// <summary>
/// Chooses the limit of a kind that decides next, for headers that show one limit of each kind: the one with the smallest remaining amount,
/// and among equals the one that is full again last.
/// </summary>
internal static class DecidingLimit
{
    /// <summary>Index of the limit of <paramref name="kind"/> that decides, or -1 if no limit of the kind applies.</summary>
    public static int Of(ReadOnlySpan<LimitState> states, LimitKind kind)
    {
        var found = -1;
        for (var i = 0; i < states.Length; i++)
        {
            if (!IsOf(states[i].Name, kind)) continue;
            if (found < 0 || IsBefore(states[i], states[found])) found = i;
        }
        return found;
    }

    private static bool IsBefore(in LimitState one, in LimitState other) => one.Remaining != other.Remaining
        ? one.Remaining < other.Remaining
        : (one.ResetsAt ?? DateTimeOffset.MinValue) > (other.ResetsAt ?? DateTimeOffset.MinValue);

    private static bool IsOf(LimitName name, LimitKind kind) => kind switch
    {
        LimitKind.Requests => name == LimitName.RequestsPerMinute,
        LimitKind.InputTokens => name == LimitName.InputTokensPerMinute,
        LimitKind.OutputTokens => name == LimitName.OutputTokensPerMinute,
        _ => name is LimitName.InputTokensPerMinute or LimitName.OutputTokensPerMinute or LimitName.TokensPerDay
            or LimitName.TokensPerMonth,
    };
}

/// <summary>What the headers of the dialects group limits by.</summary>
internal enum LimitKind
{
    Requests,

    /// <summary>
    /// Every limit of tokens: input or output per minute, and budgets of both. A call whose input and output together are not more than
    /// the smallest remaining amount fits into all of them.
    /// </summary>
    Tokens,
    InputTokens,
    OutputTokens,
}

namespace Fairlead.Access;

/// <summary>
/// One number of the limits object: the JSON reader and writer, the keys of the configuration and their documentation come from this
/// table. Immutable; thread-safe.
/// </summary>
/// <param name="Name">Its name on the wire.</param>
/// <param name="Number">What it accepts. Its units are those of the property: counts, or picodollars.</param>
/// <param name="Summary">One sentence for people.</param>
/// <param name="Get">Reads the property.</param>
/// <param name="Set">The same limits with another value; null removes the limit.</param>
internal sealed record LimitField(
    string Name, LimitNumber Number, string Summary, Func<LimitSet, long?> Get, Func<LimitSet, long?, LimitSet> Set)
{
    /// <summary>All of them, in the order in which they are written.</summary>
    public static IReadOnlyList<LimitField> All { get; } =
    [
        new("requests_per_minute", LimitNumber.Count, "Requests per minute.",
            l => l.RequestsPerMinute, (l, v) => l with { RequestsPerMinute = v }),
        new("input_tokens_per_minute", LimitNumber.Count, "Input tokens per minute.",
            l => l.InputTokensPerMinute, (l, v) => l with { InputTokensPerMinute = v }),
        new("output_tokens_per_minute", LimitNumber.Count, "Output tokens per minute.",
            l => l.OutputTokensPerMinute, (l, v) => l with { OutputTokensPerMinute = v }),
        new("concurrent_generations", LimitNumber.Count, "Generations that run at the same time.",
            l => l.ConcurrentGenerations, (l, v) => l with { ConcurrentGenerations = v }),
        new("tokens_per_day", LimitNumber.Tokens, "Input and output tokens of a calendar day (UTC). 0 allows none.",
            l => l.TokensPerDay, (l, v) => l with { TokensPerDay = v }),
        new("tokens_per_month", LimitNumber.Tokens, "Input and output tokens of a calendar month (UTC). 0 allows none.",
            l => l.TokensPerMonth, (l, v) => l with { TokensPerMonth = v }),
        new("usd_per_day", LimitNumber.Usd, "US dollars of a calendar day (UTC). 0 allows nothing.",
            l => l.PicoUsdPerDay, (l, v) => l with { PicoUsdPerDay = v }),
        new("usd_per_month", LimitNumber.Usd, "US dollars of a calendar month (UTC). 0 allows nothing.",
            l => l.PicoUsdPerMonth, (l, v) => l with { PicoUsdPerMonth = v }),
        new("input_tokens_per_request", LimitNumber.Count, "Input tokens of one request.",
            l => l.InputTokensPerRequest, (l, v) => l with { InputTokensPerRequest = v }),
        new("output_tokens_per_request", LimitNumber.Count, "Output tokens of one request.",
            l => l.OutputTokensPerRequest, (l, v) => l with { OutputTokensPerRequest = v }),
    ];
}

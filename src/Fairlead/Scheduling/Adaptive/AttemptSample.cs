namespace Fairlead.Scheduling.Adaptive;

/// <summary>What an attempt says about the capacity of its deployment.</summary>
internal enum AttemptResult
{
    /// <summary>Nothing: the client left, the request was invalid, or it was never sent.</summary>
    Unknown,

    /// <summary>It responded.</summary>
    Served,

    /// <summary>It has no capacity now: 429, 503 or 529.</summary>
    Refused,

    /// <summary>It failed for another reason that load can have: other 5xx, timeouts, no connection.</summary>
    Failed,
}

/// <summary>One ended attempt, as the learned limit and the statistics of its deployment see it. Times are in seconds.</summary>
/// <param name="Result">How it ended.</param>
/// <param name="StartedAt">Timestamp of its start.</param>
/// <param name="HoldSeconds">How long it held its slot; 0 if it was not used.</param>
internal readonly record struct AttemptSample(AttemptResult Result, long StartedAt, double HoldSeconds)
{
    /// <summary>From its start to the first token of a stream; 0 for whole responses.</summary>
    public double FirstTokenSeconds { get; init; }

    /// <summary>
    /// Time that was spent waiting for the provider after the first token; not the time that the client took to read.
    /// </summary>
    public double PaceSeconds { get; init; }

    /// <summary>Input tokens, counted or estimated.</summary>
    public double InputTokens { get; init; }

    /// <summary>Output tokens, reported or estimated.</summary>
    public double OutputTokens { get; init; }

    /// <summary>Whether the provider's status was 429.</summary>
    public bool IsRateLimited { get; init; }

    /// <summary>Whether the provider's status was 500 or above.</summary>
    public bool IsServerError { get; init; }
}

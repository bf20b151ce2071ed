namespace Fairlead.Scheduling.Quotas;

/// <summary>One rate limit of a provider's key, as the provider reported it.</summary>
/// <param name="Remaining">What is left.</param>
/// <param name="Limit">The whole; null if it was not reported.</param>
/// <param name="Reset">Time until it is full again; null if it was not reported.</param>
internal readonly record struct ReportedLimit(double Remaining, double? Limit, TimeSpan? Reset);

/// <summary>The rate limits in the headers of one response of a provider.</summary>
internal readonly record struct ReportedLimits
{
    public ReportedLimit? Requests { get; init; }

    /// <summary>Tokens of input and output together.</summary>
    public ReportedLimit? Tokens { get; init; }

    public ReportedLimit? InputTokens { get; init; }

    public ReportedLimit? OutputTokens { get; init; }

    /// <summary>How long the provider asks to wait, of a response that refused for load; else null.</summary>
    public TimeSpan? RetryAfter { get; init; }

    public bool IsEmpty => Requests is null && Tokens is null && InputTokens is null && OutputTokens is null && RetryAfter is null;
}

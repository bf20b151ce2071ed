namespace Fairlead.Access;

/// <summary>
/// Limits of an organization, a project, a key or a model, as declared in the admin API and the configuration. A limit that is null does
/// not exist. Immutable. Money is in picodollars (<see cref="Conversation.Money"/>).
/// </summary>
internal sealed record LimitSet
{
    /// <summary>No limits.</summary>
    public static readonly LimitSet None = new();

    /// <summary>Requests per minute, 1 or more.</summary>
    public long? RequestsPerMinute { get; init; }

    /// <summary>Input tokens per minute, 1 or more.</summary>
    public long? InputTokensPerMinute { get; init; }

    /// <summary>Output tokens per minute, 1 or more.</summary>
    public long? OutputTokensPerMinute { get; init; }

    /// <summary>Generations that run at the same time, 1 or more.</summary>
    public long? ConcurrentGenerations { get; init; }

    /// <summary>Input and output tokens of a calendar day in UTC, 0 or more.</summary>
    public long? TokensPerDay { get; init; }

    /// <summary>Input and output tokens of a calendar month in UTC, 0 or more.</summary>
    public long? TokensPerMonth { get; init; }

    /// <summary>Picodollars of a calendar day in UTC, 0 or more.</summary>
    public long? PicoUsdPerDay { get; init; }

    /// <summary>Picodollars of a calendar month in UTC, 0 or more.</summary>
    public long? PicoUsdPerMonth { get; init; }

    /// <summary>Input tokens of one request, 1 or more.</summary>
    public long? InputTokensPerRequest { get; init; }

    /// <summary>Output tokens of one request, 1 or more.</summary>
    public long? OutputTokensPerRequest { get; init; }

    /// <summary>How many minutes of its rate a per-minute limit can save up; 0.1 to 60. Default 1.</summary>
    public decimal? Burst { get; init; }

    /// <summary>
    /// Factors for limits that move with the load; null for limits that never move. They move rates and concurrency, never budgets.
    /// </summary>
    public ElasticRange? Elastic { get; init; }

    /// <summary>Values for calls of one class, by class. They have no classes themselves.</summary>
    public IReadOnlyDictionary<string, LimitSet> Classes { get; init; } = new Dictionary<string, LimitSet>();
}

/// <summary>Factors of a limit between which it may move.</summary>
/// <param name="Min">0.01 to 1. Default 0.25.</param>
/// <param name="Max">1 to 100. Default 2.</param>
internal sealed record ElasticRange(decimal Min, decimal Max)
{
    /// <summary>What <c>true</c> means.</summary>
    public static readonly ElasticRange Default = new(0.25m, 2m);

    /// <summary>The factor at a position: <see cref="Min"/> at -1, 1 at 0, <see cref="Max"/> at 1.</summary>
    public decimal FactorAt(double position) =>
        position < 0 ? 1 + ((1 - Min) * (decimal)Math.Max(position, -1)) : 1 + ((Max - 1) * (decimal)Math.Min(position, 1));
}

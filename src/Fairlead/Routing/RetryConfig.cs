using Fairlead.Configuration;

namespace Fairlead.Routing;

/// <summary>Retries at one deployment.</summary>
public sealed record RetryConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<RetryConfig> Keys = new(() => new RetryConfig(), ["budget"],
        new("maxRetries", new ConfigInteger(0, 10), r => (long)r.MaxRetries, (r, v) => r with { MaxRetries = (int)(long)v },
            "Retries at one deployment before the next is tried."),
        new("baseDelay", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(1)), r => r.BaseDelay,
            (r, v) => r with { BaseDelay = (TimeSpan)v },
            "Wait before the first retry; it doubles, with jitter."),
        new("maxDelay", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(5)), r => r.MaxDelay,
            (r, v) => r with { MaxDelay = (TimeSpan)v },
            "Longest wait. If a provider asks for a longer one, the next deployment is tried."));

    /// <summary>Retries at one deployment before the next is tried. Default 2.</summary>
    public int MaxRetries { get; init; } = 2;

    /// <summary>Wait before the first retry. Default 200 ms.</summary>
    public TimeSpan BaseDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Longest wait. Default 5 s. If a provider asks for a longer one, the next deployment is tried.</summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromSeconds(5);
}

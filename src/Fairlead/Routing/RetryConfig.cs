using Fairlead.Configuration;

namespace Fairlead.Routing;

/// <summary>Retries at one deployment.</summary>
internal sealed record RetryConfig
{
    internal static readonly RetryConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<RetryConfig> Keys = new(() => new RetryConfig(), [],
        new("maxRetries", new ConfigInteger(0, 10), r => (long)r.MaxRetries, (r, v) => r with { MaxRetries = (int)(long)v },
            "Retries at one deployment before the next is tried."),
        new("baseDelay", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(1)), r => r.BaseDelay,
            (r, v) => r with { BaseDelay = (TimeSpan)v },
            "Wait before the first retry; it doubles, with jitter."),
        new("maxDelay", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(5)), r => r.MaxDelay,
            (r, v) => r with { MaxDelay = (TimeSpan)v },
            "Longest wait. If a provider asks for a longer one, the next deployment is tried."),
        new("budget", new ConfigNumber(0, 10), r => (decimal)r.Budget, (r, v) => r with { Budget = (double)(decimal)v },
            "Retries at one deployment as a share of the calls that came to it in the last 10 s. 10 retries are allowed in any case. "
            + "When they are used up, the next deployment is tried at once."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("retry", Keys, c => c.Retry,
        "Retries of failed attempts.");

    /// <summary>Retries at one deployment before the next is tried. Default 2.</summary>
    public int MaxRetries { get; init; } = 2;

    /// <summary>Wait before the first retry. Default 200 ms.</summary>
    public TimeSpan BaseDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Longest wait. Default 5 s. If a provider asks for a longer one, the next deployment is tried.</summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Retries at one deployment as a share of its calls in the last 10 s, 0 to 10. Default 0.2, as in Finagle and Linkerd.
    /// </summary>
    public double Budget { get; init; } = 0.2;
}

/// <summary>The section in the whole configuration.</summary>
internal static class RetryConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Retries of failed attempts.</summary>
        public RetryConfig Retry => configuration.Section<RetryConfig>() ?? RetryConfig.Default;
    }
}

using Fairlead.Configuration;

namespace Fairlead.Routing;

/// <summary>When a deployment that fails is left alone, and how often it is tested then.</summary>
internal sealed record BreakerConfig
{
    internal static readonly BreakerConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<BreakerConfig> Keys = new(() => new BreakerConfig(), [],
        new("enabled", ConfigTypes.Switch, b => b.Enabled, (b, v) => b with { Enabled = (bool)v },
            "false lets every call try every deployment, however often it has failed."),
        new("failures", new ConfigInteger(1, 10_000), b => (long)b.Failures, (b, v) => b with { Failures = (int)(long)v },
            "Failed attempts in a row after which a deployment is open: no call goes there."),
        new("errorRate", new ConfigNumber(0.01m, 1), b => (decimal)b.ErrorRate, (b, v) => b with { ErrorRate = (double)(decimal)v },
            "Share of failed attempts in `window`, 0.01 to 1, from which a deployment is open too."),
        new("minimumAttempts", new ConfigInteger(1, 1_000_000), b => (long)b.MinimumAttempts,
            (b, v) => b with { MinimumAttempts = (int)(long)v },
            "Attempts in `window` that `errorRate` needs to be judged."),
        new("window", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)), b => b.Window,
            (b, v) => b with { Window = (TimeSpan)v },
            "Time over which `errorRate` is measured."),
        new("interval", new ConfigDuration(TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1)), b => b.Interval,
            (b, v) => b with { Interval = (TimeSpan)v },
            "While a deployment is open, one call per interval tests it. It closes when that call gets a response."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("breaker", Keys, c => c.Breaker,
        "Circuit breakers of deployments.");

    /// <summary>Whether breakers open at all. Default true.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>Failed attempts in a row that open the breaker. 1 to 10,000. Default 5, as in Envoy's outlier detection.</summary>
    public int Failures { get; init; } = 5;

    /// <summary>Share of failed attempts in the window that opens it, above 0 to 1. Default 0.5.</summary>
    public double ErrorRate { get; init; } = 0.5;

    /// <summary>Attempts in the window without which <see cref="ErrorRate"/> is not judged. 1 to 1,000,000. Default 20.</summary>
    public int MinimumAttempts { get; init; } = 20;

    /// <summary>Time over which the rate is measured. 1 s to 1 h. Default 30 s.</summary>
    public TimeSpan Window { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time between two tests of an open deployment. 100 ms to 1 h. Default 10 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>The section in the whole configuration.</summary>
internal static class BreakerConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Circuit breakers of deployments.</summary>
        public BreakerConfig Breaker => configuration.Section<BreakerConfig>() ?? BreakerConfig.Default;
    }
}

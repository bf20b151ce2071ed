using Fairlead.Configuration;

namespace Fairlead.Idempotency;

/// <summary>Requests that may be repeated by an <c>Idempotency-Key</c>.</summary>
internal sealed record IdempotencyConfig
{
    internal static readonly IdempotencyConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<IdempotencyConfig> Keys = new(() => new IdempotencyConfig(), [],
        new ConfigKey<IdempotencyConfig>("ttl", new ConfigDuration(TimeSpan.FromMinutes(1), TimeSpan.FromDays(30)), i => i.Ttl,
            (i, v) => i with { Ttl = (TimeSpan)v },
            "How long a key stands for its request, and the outcome is kept."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("idempotency", Keys, c => c.Idempotency,
        "Requests that repeat an `Idempotency-Key`.");

    /// <summary>How long a key identifies its request, and the outcome is kept. Default 24 h.</summary>
    public TimeSpan Ttl { get; init; } = TimeSpan.FromHours(24);
}

/// <summary>The section in the whole configuration.</summary>
internal static class IdempotencyConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Requests that repeat an `Idempotency-Key`.</summary>
        public IdempotencyConfig Idempotency => configuration.Section<IdempotencyConfig>() ?? IdempotencyConfig.Default;
    }
}

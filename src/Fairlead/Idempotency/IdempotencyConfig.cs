using Fairlead.Configuration;

namespace Fairlead.Idempotency;

/// <summary>Requests that may be repeated by an <c>Idempotency-Key</c>.</summary>
public sealed record IdempotencyConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<IdempotencyConfig> Keys = new(() => new IdempotencyConfig(), [],
        new ConfigKey<IdempotencyConfig>("ttl", new ConfigDuration(TimeSpan.FromMinutes(1), TimeSpan.FromDays(30)), i => i.Ttl,
            (i, v) => i with { Ttl = (TimeSpan)v },
            "How long a key stands for its request, and the outcome is kept."));

    /// <summary>How long a key stands for its request, and the outcome is kept. Default 24 h.</summary>
    public TimeSpan Ttl { get; init; } = TimeSpan.FromHours(24);
}

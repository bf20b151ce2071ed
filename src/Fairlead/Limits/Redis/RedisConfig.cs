using Fairlead.Configuration;

namespace Fairlead.Limits.Redis;

/// <summary>The store of what nodes count together.</summary>
internal sealed record RedisConfig
{
    internal static readonly RedisConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<RedisConfig> Keys = new(() => new RedisConfig(), [],
        new ConfigKey<RedisConfig>("connectionString", new ConfigRedis(), r => r.ConnectionString,
            (r, v) => r with { ConnectionString = (string)v },
            "Redis 6.2 or later, as `redis://user:password@host:6379/0` (`rediss://` for TLS) or in the words of the driver "
            + "(`host:6379,password=…,ssl=true`); best written as ${NAME}. Without it, each node counts rates and concurrency by itself."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("redis", Keys, c => c.Redis,
        "Counts rates and concurrency of several nodes together.", needsRestart: true);

    /// <summary>The connection string, with a password; null for no Redis.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>Without the password.</summary>
    public override string ToString() => $"{nameof(RedisConfig)} {{ IsSet = {ConnectionString is not null} }}";
}

/// <summary>The section in the whole configuration.</summary>
internal static class RedisConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>The store of what nodes count together.</summary>
        public RedisConfig Redis => configuration.Section<RedisConfig>() ?? RedisConfig.Default;
    }
}

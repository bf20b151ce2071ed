using Fairlead.Configuration;

namespace Fairlead.Caching;

/// <summary>Responses that are kept for identical requests.</summary>
internal sealed record CacheConfig
{
    internal static readonly CacheConfig Default = new();

    private static readonly string[] Pacings = ["none", "original"];

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<CacheConfig> Keys = new(() => new CacheConfig(), [],
        new("enabled", ConfigTypes.Switch, c => c.Enabled, (c, v) => c with { Enabled = (bool)v },
            "Whether there is a cache of responses. A key, a project or a request must also ask for it."),
        new("ttl", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromDays(30)), c => c.Ttl, (c, v) => c with { Ttl = (TimeSpan)v },
            "How long a response is kept. A request may ask for less."),
        new("maxBytes", new ConfigSize(1024 * 1024, 1L << 40), c => c.MaxBytes, (c, v) => c with { MaxBytes = (long)v },
            "Memory of this process for kept responses, beside `requests.memoryBudget`."),
        new("pacing", new ConfigChoice(Pacings), c => c.Pacing == CachePacing.Original ? "original" : "none",
            (c, v) => c with { Pacing = (string)v == "original" ? CachePacing.Original : CachePacing.None },
            "How a kept response is streamed: at once, or with the pauses that its first stream had."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("cache", Keys, c => c.Cache,
        "Responses that are kept for identical requests. With Redis, all nodes share them.");

    /// <summary>Whether there is a cache. Default false.</summary>
    public bool Enabled { get; init; }

    /// <summary>How long a response is kept. 1 s to 30 days. Default 1 h.</summary>
    public TimeSpan Ttl { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Memory for kept responses. 1 MiB to 1 TiB. Default 256 MiB.</summary>
    public long MaxBytes { get; init; } = 256 * 1024 * 1024;

    /// <summary>How kept responses are streamed. Default at once.</summary>
    public CachePacing Pacing { get; init; }
}

/// <summary>How a kept response is streamed.</summary>
internal enum CachePacing
{
    /// <summary>At once.</summary>
    None,

    /// <summary>With the pauses of the first stream.</summary>
    Original,
}

/// <summary>The section in the whole configuration.</summary>
internal static class CacheConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Responses that are kept.</summary>
        public CacheConfig Cache => configuration.Section<CacheConfig>() ?? CacheConfig.Default;
    }
}

using Fairlead.Configuration;

namespace Fairlead.Generations;

/// <summary>Generations that outlive their request.</summary>
internal sealed record JobsConfig
{
    internal static readonly JobsConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<JobsConfig> Keys = new(() => new JobsConfig(), [],
        new("workers", new ConfigInteger(0, 10_000), j => j.Workers, (j, v) => j with { Workers = (int)(long)v },
            "Jobs and lines of batches that run at once on this node; 0 leaves them to other nodes."),
        new("maxRuns", new ConfigInteger(1, 100), j => j.MaxRuns, (j, v) => j with { MaxRuns = (int)(long)v },
            "Runs of one generation, counting those that failed for a passing reason. A run that is lost because its process stops or "
            + "dies does not count."),
        new("lease", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10)), j => j.Lease,
            (j, v) => j with { Lease = (TimeSpan)v },
            "Time without a sign of life after which a run counts as dead and another node takes over."),
        new("resultTtl", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromDays(365)), j => j.ResultTtl,
            (j, v) => j with { ResultTtl = (TimeSpan)v },
            "How long a result is kept."),
        new("backoff", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromHours(1)), j => j.Backoff,
            (j, v) => j with { Backoff = (TimeSpan)v },
            "First pause before a failed generation is run again; doubles with every run."),
        new("maxQueuedPerProject", new ConfigInteger(1, 100_000_000), j => (long)j.MaxQueuedPerProject,
            (j, v) => j with { MaxQueuedPerProject = (int)(long)v },
            "Jobs of one project that may wait; a further one is refused with 429 `queue_full`. Lines of batches do not count."),
        new("maxQueuedBytesPerProject", new ConfigSize(1024, 1L << 50), j => j.MaxQueuedBytesPerProject,
            (j, v) => j with { MaxQueuedBytesPerProject = (long)v },
            "Bytes of the requests of those jobs together."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("jobs", Keys, c => c.Jobs,
        "Background generations (jobs).");

    /// <summary>Runs at once on this node. Default 8.</summary>
    public int Workers { get; init; } = 8;

    /// <summary>
    /// Runs of one generation, counting those that failed for a temporary reason, but not those lost because their process stopped or died.
    /// Default 3.
    /// </summary>
    public int MaxRuns { get; init; } = 3;

    /// <summary>Time without a sign of life after which a run counts as dead. Default 30 s.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a result is kept. Default 24 h.</summary>
    public TimeSpan ResultTtl { get; init; } = TimeSpan.FromHours(24);

    /// <summary>First pause before a failed generation is run again; doubles with every run. Default 1 s.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Jobs of one project that may wait. Default 10,000.</summary>
    public int MaxQueuedPerProject { get; init; } = 10_000;

    /// <summary>Bytes of the requests of those. Default 1 GiB.</summary>
    public long MaxQueuedBytesPerProject { get; init; } = 1024L * 1024 * 1024;
}

/// <summary>The section in the whole configuration.</summary>
internal static class JobsConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Background generations (jobs).</summary>
        public JobsConfig Jobs => configuration.Section<JobsConfig>() ?? JobsConfig.Default;
    }
}

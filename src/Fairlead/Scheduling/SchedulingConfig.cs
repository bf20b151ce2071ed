using Fairlead.Configuration;

namespace Fairlead.Scheduling;

/// <summary>The queues of calls that wait for a free slot at a deployment.</summary>
internal sealed record SchedulingConfig
{
    internal static readonly SchedulingConfig Default = new();

    internal static readonly ConfigType MaxWaitType = new ConfigDuration(TimeSpan.Zero, TimeSpan.FromHours(1));

    internal static readonly ConfigType AgingAfterType = new ConfigDuration(TimeSpan.FromMilliseconds(100), TimeSpan.FromDays(1));

    internal const string AdaptiveSummary =
        "Whether a deployment's concurrency is also limited by what it was seen to sustain, up to `maxConcurrency`: it falls with 429, 5xx "
        + "and rising latency, and recovers.";

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<SchedulingConfig> Keys = new(() => new SchedulingConfig(), [],
        new("maxQueued", QueueLengths.Keys, s => s.MaxQueued, (s, v) => s with { MaxQueued = (QueueLengths)v },
            "Calls that may wait for one model, by class. A further one is refused with 429 `queue_full`. Jobs wait in the database and do "
            + "not count."),
        new("maxWait", MaxWaitType, s => s.MaxWait, (s, v) => s with { MaxWait = (TimeSpan)v },
            "Longest wait of a call for a slot; then it is refused with `provider_unavailable`. Jobs wait in the database without limit."),
        new("agingAfter", AgingAfterType, s => s.AgingAfter, (s, v) => s with { AgingAfter = (TimeSpan)v },
            "A call counts as one class higher for each such span that it has waited, so that no class starves."),
        new("adaptive", ConfigTypes.Switch, s => s.Adaptive, (s, v) => s with { Adaptive = (bool)v }, AdaptiveSummary));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("scheduling", Keys, c => c.Scheduling,
        "Queues for deployments with `maxConcurrency`. `models.<name>.scheduling` overrides them for one model.");

    /// <summary>Calls of each class that may wait for one model.</summary>
    public QueueLengths MaxQueued { get; init; } = new();

    /// <summary>Longest wait of a call that is not the run of a job. 0 to 1 h. Default 30 s.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Wait after which a call counts as one class higher. 100 ms to 1 day. Default 30 s.</summary>
    public TimeSpan AgingAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Whether learned concurrency limits apply. Default true.</summary>
    public bool Adaptive { get; init; } = true;

    /// <summary>These settings with those of one model over them.</summary>
    public SchedulingConfig With(ModelSchedulingConfig? model) => model is null ? this : new SchedulingConfig
    {
        MaxQueued = model.MaxQueued is { } lengths
            ? new QueueLengths
            {
                Realtime = lengths.Realtime ?? MaxQueued.Realtime,
                Standard = lengths.Standard ?? MaxQueued.Standard,
                Bulk = lengths.Bulk ?? MaxQueued.Bulk,
            }
            : MaxQueued,
        MaxWait = model.MaxWait ?? MaxWait,
        AgingAfter = model.AgingAfter ?? AgingAfter,
        Adaptive = model.Adaptive ?? Adaptive,
    };
}

/// <summary>A number of waiting calls for each class.</summary>
internal sealed record QueueLengths
{
    internal static readonly ConfigType Length = new ConfigInteger(0, 1_000_000);

    /// <summary>Their keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<QueueLengths> Keys = new(() => new QueueLengths(), [],
        new("realtime", Length, q => (long)q.Realtime, (q, v) => q with { Realtime = (int)(long)v }, "Calls of the class `realtime`."),
        new("standard", Length, q => (long)q.Standard, (q, v) => q with { Standard = (int)(long)v }, "Calls of the class `standard`."),
        new("bulk", Length, q => (long)q.Bulk, (q, v) => q with { Bulk = (int)(long)v }, "Calls of the class `bulk`."));

    /// <summary>0 to 1,000,000. Default 1,000.</summary>
    public int Realtime { get; init; } = 1000;

    /// <summary>0 to 1,000,000. Default 5,000.</summary>
    public int Standard { get; init; } = 5000;

    /// <summary>0 to 1,000,000. Default 5,000.</summary>
    public int Bulk { get; init; } = 5000;

    /// <summary>The number of a class by its rank, 0 for realtime.</summary>
    public int this[int rank] => rank switch { 0 => Realtime, 1 => Standard, _ => Bulk };
}

/// <summary>The section in the whole configuration.</summary>
internal static class SchedulingConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>The queues of calls that wait for a slot.</summary>
        public SchedulingConfig Scheduling => configuration.Section<SchedulingConfig>() ?? SchedulingConfig.Default;
    }
}

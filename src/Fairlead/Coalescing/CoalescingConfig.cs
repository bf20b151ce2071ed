using Fairlead.Configuration;

namespace Fairlead.Coalescing;

/// <summary>Equal work of a project that is done once.</summary>
internal sealed record CoalescingConfig
{
    internal static readonly CoalescingConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<CoalescingConfig> Keys = new(() => new CoalescingConfig(), [],
        new("embeddings", ConfigTypes.Switch, c => c.Embeddings, (c, v) => c with { Embeddings = (bool)v },
            "Whether equal inputs of embeddings that are in progress in a project are computed once."),
        new("generations", ConfigTypes.Switch, c => c.Generations, (c, v) => c with { Generations = (bool)v },
            "Whether identical generations that are in progress in a project share one output, if they have `temperature: 0` or a `seed`."),
        new("batchDelay", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromMilliseconds(100)), c => c.BatchDelay,
            (c, v) => c with { BatchDelay = (TimeSpan)v },
            "Longest wait of inputs for others, to be sent in one request. They wait only while a request of the same kind is in progress; "
            + "0 sends each call alone."),
        new("batchInputs", new ConfigInteger(1, MaxBatchInputs), c => (long)c.BatchInputs,
            (c, v) => c with { BatchInputs = (int)(long)v },
            "Maximum inputs of several calls in one request; fewer where the provider accepts fewer."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("coalescing", Keys, c => c.Coalescing,
        "Equal work of a project that is done once.");

    /// <summary>As many as OpenAI's API accepts in one request.</summary>
    private const int MaxBatchInputs = 2048;

    /// <summary>Whether equal inputs of embeddings are computed once, and inputs of several calls sent together. Default true.</summary>
    public bool Embeddings { get; init; } = true;

    /// <summary>Whether identical deterministic generations share one output. Default false.</summary>
    public bool Generations { get; init; }

    /// <summary>Longest wait of inputs for others. 0 to 100 ms. Default 2 ms.</summary>
    public TimeSpan BatchDelay { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>Inputs of several calls in one request. 1 to 2048. Default 256.</summary>
    public int BatchInputs { get; init; } = 256;
}

/// <summary>The section in the whole configuration.</summary>
internal static class CoalescingConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Equal work that is done once.</summary>
        public CoalescingConfig Coalescing => configuration.Section<CoalescingConfig>() ?? CoalescingConfig.Default;
    }
}

using Fairlead.Configuration;

namespace Fairlead.Streaming;

/// <summary>Streamed responses.</summary>
internal sealed record StreamConfig
{
    internal static readonly StreamConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<StreamConfig> Keys = new(() => new StreamConfig(), ["resumeWindow"],
        new("keepAlive", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5)), s => s.KeepAlive,
            (s, v) => s with { KeepAlive = (TimeSpan)v },
            "Pause of a stream after which a comment is sent, so that proxies keep it open."),
        new("commitAfter", new ConfigDuration(TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5)), s => s.CommitAfter,
            (s, v) => s with { CommitAfter = (TimeSpan)v },
            "Longest wait for the first content before status 200 is sent. Until then a failed attempt becomes a proper "
            + "status."),
        new("batchTokens", new ConfigInteger(1, BatchSettings.MaxTokens), s => (long)s.BatchTokens,
            (s, v) => s with { BatchTokens = (int)(long)v },
            "Maximum tokens joined into one chunk of a stream; 1 joins nothing. A key or a request may override it."),
        new("batchDelay", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromMilliseconds(BatchSettings.MaxDelayMs)), s => s.BatchDelay,
            (s, v) => s with { BatchDelay = (TimeSpan)v },
            "Longest wait for them. The first token never waits, and no token does while the model itself is slower."),
        new("midStreamRescue", new ConfigChoice(RescueModes.Names), s => RescueModes.NameOf(s.MidStreamRescue),
            (s, v) => s with { MidStreamRescue = RescueModes.Parse((string)v)!.Value },
            "By which deployments a stream is continued after its provider was lost: by none, by those with the same model of a "
            + "provider, or by all that serve the name. A key or a request can only narrow it."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("stream", Keys, c => c.Stream,
        "Streamed responses.");

    /// <summary>Pause of a stream after which a comment is sent. Default 15 s.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Longest wait for first content before status 200 is sent. Default 10 s.</summary>
    public TimeSpan CommitAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Maximum tokens joined into one chunk of a stream, 1 to 64; 1 joins nothing. Default 4.</summary>
    public int BatchTokens { get; init; } = 4;

    /// <summary>Longest wait for them. Default 20 ms.</summary>
    public TimeSpan BatchDelay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>By which deployments a stream is continued after its provider was lost. Default the same model.</summary>
    public RescueMode MidStreamRescue { get; init; } = RescueMode.SameModel;
}

/// <summary>The section in the whole configuration.</summary>
internal static class StreamConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Streamed responses.</summary>
        public StreamConfig Stream => configuration.Section<StreamConfig>() ?? StreamConfig.Default;
    }
}

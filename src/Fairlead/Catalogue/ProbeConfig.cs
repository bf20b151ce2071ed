using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>How the gateway itself finds out whether a deployment works.</summary>
internal sealed record ProbeConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<ProbeConfig> Keys = new(() => new ProbeConfig(), [],
        new("path", ConfigTypes.Text, p => p.Path, (p, v) => p with { Path = (string)v },
            "Path at the provider's address that is requested with GET and responds with a status of 200 to 299 while the deployment works, "
            + "such as `/health`. Default: a chat call of a few tokens, or an embedding of one word, which the provider charges."),
        new("interval", new ConfigDuration(TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1)), p => p.Interval,
            (p, v) => p with { Interval = (TimeSpan)v },
            "Time between the starts of two probes, on each node."),
        new("timeout", new ConfigDuration(TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(5)), p => p.Timeout,
            (p, v) => p with { Timeout = (TimeSpan)v },
            "A probe without a response after this time has failed."));

    /// <summary>Path at the provider's address, with its first slash; null for a tiny call.</summary>
    public string? Path { get; init; }

    /// <summary>Between the starts of two probes. 100 ms to 1 h. Default 15 s: a deployment returns within 30 s of its recovery.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Of one probe. 10 ms to 5 min. Default 10 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);
}

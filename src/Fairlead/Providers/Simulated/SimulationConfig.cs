using Fairlead.Configuration;

namespace Fairlead.Providers.Simulated;

/// <summary>Behaviour of the simulated provider if the request has no value.</summary>
internal sealed record SimulationConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<SimulationConfig> Keys = new(() => new SimulationConfig(), [],
        new("seed", new ConfigInteger(0, long.MaxValue), s => s.Seed, (s, v) => s with { Seed = (long)v },
            "Seed of the random numbers. The same seed and request give the same response."),
        new("firstToken", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromHours(1)), s => s.FirstToken,
            (s, v) => s with { FirstToken = (TimeSpan)v },
            "Median time to the first token. Default: the model's own value."),
        new("tokensPerSecond", new ConfigNumber(0.01m, 1_000_000), s => s.TokensPerSecond,
            (s, v) => s with { TokensPerSecond = (double)(decimal)v },
            "Median speed. Default: the model's own value."),
        new("faults", ConfigTypes.Text, s => s.Faults, (s, v) => s with { Faults = (string)v },
            "Errors to simulate in every call, in the syntax of the Fairlead-Simulate header."));

    public long Seed { get; init; } = 1;

    /// <summary>Median time to the first token; null for the model's own value.</summary>
    public TimeSpan? FirstToken { get; init; }

    /// <summary>Median tokens per second; null for the model's own value.</summary>
    public double? TokensPerSecond { get; init; }

    /// <summary>Errors to simulate, in the syntax of the Fairlead-Simulate header, applied to every call.</summary>
    public string? Faults { get; init; }
}

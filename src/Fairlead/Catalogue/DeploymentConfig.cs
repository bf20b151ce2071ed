using Fairlead.Configuration;
using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>One endpoint of a provider that serves a model.</summary>
internal sealed record DeploymentConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<DeploymentConfig> Keys = new(
        () => new DeploymentConfig { Provider = "" }, ["prices", "region"],
        new("provider", ConfigTypes.Text, d => d.Provider, (d, v) => d with { Provider = (string)v },
            "Name of the provider, as under `providers`.") { Required = true },
        new("model", ConfigTypes.Text, d => d.Model, (d, v) => d with { Model = (string)v },
            "The model's name at the provider. Default: the name of this model."),
        new("priority", new ConfigInteger(1, 1000), d => d.Priority, (d, v) => d with { Priority = (int)(long)v }, "1 is tried first."),
        new("weight", new ConfigInteger(1, 1000), d => d.Weight, (d, v) => d with { Weight = (int)(long)v },
            "Share among deployments of equal priority."),
        new("maxConcurrency", new ConfigInteger(1, 1_000_000), d => d.MaxConcurrency, (d, v) => d with { MaxConcurrency = (int)(long)v },
            "Maximum concurrent attempts; unlimited when left out. At the maximum, other deployments are tried. If there is none, a "
            + "call waits in the queue of its model (`scheduling`). Of several models that list the deployment, the lowest maximum "
            + "applies."),
        new("timeouts", ProviderTimeouts.DeploymentKeys, d => d.Timeouts, (d, v) => d with { Timeouts = (ProviderTimeouts)v },
            "Timeouts of one attempt. Default: those of the provider."),
        new("probe", ProbeConfig.Keys, d => d.Probe, (d, v) => d with { Probe = (ProbeConfig)v },
            "Has the gateway itself find out at an interval whether the deployment works; `{}` for a tiny call. Then probes test it while its "
            + "breaker is open, and no call of a client does. Default: no probes."));

    public required string Provider { get; init; }

    /// <summary>The model's name at the provider; the configured model's own name when null.</summary>
    public string? Model { get; init; }

    public int Priority { get; init; } = 1;

    public int Weight { get; init; } = 1;

    public int? MaxConcurrency { get; init; }

    public ProviderTimeouts? Timeouts { get; init; }

    public ProbeConfig? Probe { get; init; }
}

using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>One endpoint, upstream model and credential that serves a model. Immutable.</summary>
internal sealed record Deployment
{
    /// <summary><c>provider/upstream-model</c>, as metadata and the admin API show it.</summary>
    public required string Name { get; init; }

    /// <summary>Name of the provider in the configuration.</summary>
    public required string ProviderName { get; init; }

    /// <summary>The model's name at the provider.</summary>
    public required string UpstreamModel { get; init; }

    /// <summary>
    /// The model's name in responses of this deployment, if its name groups different models: the catalogue's name if it has one, else
    /// <see cref="UpstreamModel"/>. Null for the name by which clients call it.
    /// </summary>
    public string? ReportedModel { get; init; }

    /// <summary>1 is tried first.</summary>
    public int Priority { get; init; } = 1;

    public int Weight { get; init; } = 1;

    public int? MaxConcurrency { get; init; }

    /// <summary>Whether its learned concurrency limit applies to calls of the model that lists it (<c>scheduling.adaptive</c>).</summary>
    public bool IsAdaptive { get; init; }

    public ProviderTimeouts Timeouts { get; init; } = ProviderTimeouts.Default;

    /// <summary>How the gateway probes it; null for not at all.</summary>
    public ProbeConfig? Probe { get; init; }

    /// <summary>
    /// Whether translated chat responses of this deployment call reasoning <c>reasoning</c> instead of <c>reasoning_content</c>. OpenAI's
    /// interface has no field for it; clients know one or the other.
    /// </summary>
    internal bool SaysReasoning { get; init; }

    /// <summary>What its attempts cost, over time.</summary>
    public PriceList Prices { get; init; } = PriceList.Free;

    /// <summary>Ids of the keys with which its provider is called, for limits that each key has; empty if it needs none.</summary>
    internal int[] KeyIds => Provider?.KeyIds ?? [];

    /// <summary>Those of them that may be used now: not the ones that the provider rejected, until a test of them is due.</summary>
    internal int[] UsableKeyIds => Provider?.UsableKeyIds ?? [];

    /// <summary>The adapter that calls it.</summary>
    internal Provider Provider { get; init; } = null!;
}

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

    public ProviderTimeouts Timeouts { get; init; } = ProviderTimeouts.Default;

    /// <summary>
    /// Whether translated chat responses of this deployment call reasoning <c>reasoning</c> instead of <c>reasoning_content</c>. OpenAI's
    /// interface has no field for it; clients know one or the other.
    /// </summary>
    internal bool SaysReasoning { get; init; }

    /// <summary>What its attempts cost, over time.</summary>
    public PriceList Prices { get; init; } = PriceList.Free;

    /// <summary>The adapter that calls it.</summary>
    internal Provider Provider { get; init; } = null!;
}

using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>One endpoint + upstream model + credential that can answer for a model. Immutable.</summary>
internal sealed record Deployment
{
    /// <summary><c>provider/upstream-model</c>, as metadata and the admin API show it.</summary>
    public required string Name { get; init; }

    /// <summary>Name of the provider in the configuration.</summary>
    public required string ProviderName { get; init; }

    /// <summary>The model's name at the provider.</summary>
    public required string UpstreamModel { get; init; }

    /// <summary>1 is tried first.</summary>
    public int Priority { get; init; } = 1;

    public int Weight { get; init; } = 1;

    public int? MaxConcurrency { get; init; }

    public ProviderTimeouts Timeouts { get; init; } = ProviderTimeouts.Default;

    /// <summary>
    /// Whether reasoning from here is called <c>reasoning</c> in chat answers that are translated, instead of <c>reasoning_content</c>. OpenAI's interface has
    /// no word of its own for it; clients know one or the other.
    /// </summary>
    internal bool SaysReasoning { get; init; }

    /// <summary>What this deployment charges; the model's prices unless it states its own.</summary>
    public ModelPrices Prices { get; init; } = ModelPrices.Free;

    /// <summary>The adapter that speaks to it.</summary>
    internal Provider Provider { get; init; } = null!;
}

using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Scheduling;

namespace Fairlead.Catalogue;

internal enum ModelKind
{
    Chat,
    Embedding,
}

/// <summary>Which vocabulary counts the tokens.</summary>
internal enum TokenizerFamily
{
    /// <summary>Exact, by Microsoft.ML.Tokenizers.</summary>
    O200k,

    /// <summary>Exact, by Microsoft.ML.Tokenizers.</summary>
    Cl100k,

    /// <summary>Estimated from characters, corrected by the usage that providers report.</summary>
    Estimated,
}

/// <summary>One model as clients know it. Immutable; replaced whole when the configuration changes.</summary>
internal sealed record CatalogueModel
{
    /// <summary>The name clients send and see.</summary>
    public required string Id { get; init; }

    public ModelKind Kind { get; init; }

    public string DisplayName { get; init; } = "";

    /// <summary>Whether its deployments serve different models, whose outputs do not fit together.</summary>
    public bool HasDifferentModels { get; init; }

    /// <summary>The vendor, such as <c>openai</c>; <c>owned_by</c> of the models list.</summary>
    public required string OwnedBy { get; init; }

    /// <summary>Date of its facts or of its release, shown as <c>created</c>.</summary>
    public DateTimeOffset CreatedAt { get; init; }

    /// <summary>Tokens of input and output together; null when unknown, and then not checked.</summary>
    public int? ContextWindow { get; init; }

    /// <summary>Tokens of input alone, where the vendor limits it below the window.</summary>
    public int? MaxInputTokens { get; init; }

    /// <summary>Tokens of output; null when unknown.</summary>
    public int? MaxOutputTokens { get; init; }

    /// <summary>text, image, audio, pdf, video.</summary>
    public FrozenSet<string> InputModalities { get; init; } = FrozenSet.ToFrozenSet(["text"]);

    /// <summary>text, audio, embedding.</summary>
    public FrozenSet<string> OutputModalities { get; init; } = FrozenSet.ToFrozenSet(["text"]);

    public ModelCapabilities Capabilities { get; init; } = new();

    public TokenizerFamily Tokenizer { get; init; } = TokenizerFamily.Estimated;

    /// <summary>Family that shares a learned correction, such as <c>claude-2026</c>.</summary>
    public string TokenizerName { get; init; } = "estimated";

    public PriceList Prices { get; init; } = PriceList.Free;

    /// <summary>Native length of the vectors of an embedding model.</summary>
    public int? EmbeddingDimensions { get; init; }

    /// <summary>Limits of each organization for this model; counted by organization and model.</summary>
    public LimitSet Limits { get; init; } = LimitSet.None;

    /// <summary>Settings of its queue; null for the general ones.</summary>
    public ModelSchedulingConfig? Scheduling { get; init; }

    /// <summary>How one of several deployments of equal priority is chosen.</summary>
    public SelectionStrategy Strategy { get; init; }

    /// <summary>Name of a larger model for requests that do not fit; null for none.</summary>
    public string? OnOverflow { get; init; }

    /// <summary>Whether a request that a provider's content policy rejects is sent to other deployments.</summary>
    public bool FailsOverContentRejections { get; init; }

    /// <summary>What the model is meant for, such as <c>code</c>; null for anything.</summary>
    public string? Task { get; init; }

    public IReadOnlyList<string> Aliases { get; init; } = [];

    public ModelLifecycle Lifecycle { get; init; } = ModelLifecycle.Active;

    /// <summary>Higher for models of a later configuration, whose limits replace those of earlier ones.</summary>
    public long Version { get; init; }

    /// <summary>Its deployments in order of preference: priority first, then as listed. Never empty.</summary>
    public IReadOnlyList<Deployment> Deployments { get; init; } = [];
}

/// <summary>What a model can do beyond text.</summary>
internal sealed record ModelCapabilities
{
    public bool Tools { get; init; } = true;

    public bool JsonSchema { get; init; } = true;

    public bool Reasoning { get; init; }

    public bool Logprobs { get; init; } = true;

    /// <summary>Continues an assistant turn at the end of the conversation.</summary>
    public bool Prefill { get; init; } = true;

    /// <summary>Accepts temperature and top_p; most reasoning models do not.</summary>
    public bool Sampling { get; init; } = true;

    /// <summary>
    /// With <see cref="Sampling"/> false: accepts temperature and top_p nevertheless when the reasoning effort is <c>none</c>.
    /// </summary>
    public bool SamplingWithoutReasoning { get; init; }

    /// <summary>More than one choice per request.</summary>
    public bool MultipleChoices { get; init; } = true;

    /// <summary>Vectors of a requested length.</summary>
    public bool Dimensions { get; init; } = true;

    /// <summary>Accepted values of reasoning effort; empty for any.</summary>
    public IReadOnlyList<string> ReasoningEfforts { get; init; } = [];
}

internal enum LifecycleState
{
    Active,
    Deprecated,
    Retired,
}

internal sealed record ModelLifecycle(LifecycleState State)
{
    public static readonly ModelLifecycle Active = new(LifecycleState.Active);

    public DateTimeOffset? DeprecatedAt { get; init; }

    public DateTimeOffset? RetiresAt { get; init; }

    public string? Replacement { get; init; }
}

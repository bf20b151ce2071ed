using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Scheduling;

namespace Fairlead.Catalogue;

/// <summary>A model that clients may call. Facts that are null come from the built-in catalogue.</summary>
internal sealed record ModelConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<ModelConfig> Keys = new(() => new ModelConfig(), ["route", "quality"],
        new("kind", new ConfigChoice("chat", "embedding"), m => m.Kind, (m, v) => m with { Kind = (string)v },
            "What it does; chat unless the catalogue knows better."),
        new("contextWindow", ModelConfigTypes.Tokens, m => m.ContextWindow, (m, v) => m with { ContextWindow = (int)(long)v },
            "Tokens of input and output together."),
        new("maxInputTokens", ModelConfigTypes.Tokens, m => m.MaxInputTokens, (m, v) => m with { MaxInputTokens = (int)(long)v },
            "Tokens of input alone, where the vendor limits it below the window."),
        new("maxOutputTokens", ModelConfigTypes.Tokens, m => m.MaxOutputTokens, (m, v) => m with { MaxOutputTokens = (int)(long)v },
            "Tokens of output."),
        new("modalities", ModalitiesConfig.Keys, m => m.Modalities, (m, v) => m with { Modalities = (ModalitiesConfig)v },
            "Kinds of content."),
        new("capabilities", CapabilitiesConfig.Keys, m => m.Capabilities, (m, v) => m with { Capabilities = (CapabilitiesConfig)v },
            "What it can do beyond text."),
        new("tokenizer", ConfigTypes.Text, m => m.Tokenizer, (m, v) => m with { Tokenizer = (string)v },
            "o200k or cl100k (counted exactly), or the name of a family (estimated)."),
        new("prices", new ConfigOneOrMany<PricesConfig>(PricesConfig.Keys), m => m.Prices,
            (m, v) => m with { Prices = (IReadOnlyList<PricesConfig>)v },
            "What it costs: one section, or a list of sections in the order of their `from`."),
        new("aliases", ConfigTypes.Texts, m => m.Aliases, (m, v) => m with { Aliases = (IReadOnlyList<string>)v },
            "Other names clients may send."),
        new("lifecycle", LifecycleConfig.Keys, m => m.Lifecycle, (m, v) => m with { Lifecycle = (LifecycleConfig)v },
            "Whether it is deprecated or retired."),
        new("limits", LimitSetConfig.Keys, m => m.Limits, (m, v) => m with { Limits = (LimitSet)v },
            "Limits of each organization for this model, whichever of its keys calls."),
        new("scheduling", ModelSchedulingConfig.Keys, m => m.Scheduling, (m, v) => m with { Scheduling = (ModelSchedulingConfig)v },
            "Its queue, where it differs from the general settings."),
        new("strategy", new ConfigChoice(SelectionStrategies.Names), m => SelectionStrategies.NameOf(m.Strategy),
            (m, v) => m with { Strategy = SelectionStrategies.Of((string)v) },
            "How one of several deployments of equal priority is chosen: at random by `weight`; by `latency`, the faster one of two; by "
            + "`cost`; by `session`, the same one for all calls that share a prompt cache."),
        new("reportModel", new ConfigChoice("answering", "requested"), m => m.HidesAnsweringModel ? "requested" : "answering",
            (m, v) => m with { HidesAnsweringModel = (string)v == "requested" },
            "Which model responses name, if the deployments serve different models: the one that answered, or the name of this entry."),
        new("onOverflow", ConfigTypes.Text, m => m.OnOverflow, (m, v) => m with { OnOverflow = (string)v },
            "A model with a larger window that serves requests which do not fit this one, for keys that may use it. Without it, they are "
            + "refused with `context_length_exceeded`."),
        new("onContentRejection", new ConfigChoice("stay", "failover"), m => m.FailsOverContentRejections ? "failover" : "stay",
            (m, v) => m with { FailsOverContentRejections = (string)v == "failover" },
            "What follows when the content policy of a provider rejects a request: `stay` returns the rejection, `failover` tries the "
            + "other deployments."),
        new("task", ConfigTypes.Text, m => m.Task, (m, v) => m with { Task = (string)v }, "What it is meant for, such as code."),
        new("deployments", new ConfigListType<DeploymentConfig>(DeploymentConfig.Keys), m => m.Deployments,
            (m, v) => m with { Deployments = (IReadOnlyList<DeploymentConfig>)v },
            "The deployments that serve it. Default: every configured provider of its vendor."));

    /// <summary>Their place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key(
        "models", new ConfigMapType<ModelConfig>(Keys, "model"), c => c.Models,
        "Models by the names that clients send. A built-in model needs only its name.");

    public string? Kind { get; init; }

    public int? ContextWindow { get; init; }

    public int? MaxInputTokens { get; init; }

    public int? MaxOutputTokens { get; init; }

    public ModalitiesConfig? Modalities { get; init; }

    public CapabilitiesConfig? Capabilities { get; init; }

    /// <summary>o200k, cl100k or the name of an estimated family.</summary>
    public string? Tokenizer { get; init; }

    /// <summary>Prices in the order of their times; one for prices that are always the same.</summary>
    public IReadOnlyList<PricesConfig>? Prices { get; init; }

    public IReadOnlyList<string> Aliases { get; init; } = [];

    public LifecycleConfig? Lifecycle { get; init; }

    /// <summary>Limits of each organization for this model.</summary>
    public LimitSet Limits { get; init; } = LimitSet.None;

    /// <summary>Settings of its queue; null for the general ones.</summary>
    public ModelSchedulingConfig? Scheduling { get; init; }

    /// <summary>How one of several deployments of equal priority is chosen. Default by weight.</summary>
    public SelectionStrategy Strategy { get; init; }

    /// <summary>Whether responses name this entry even if its deployments serve different models. Default false.</summary>
    public bool HidesAnsweringModel { get; init; }

    /// <summary>Name of a larger model for requests that do not fit; null for none.</summary>
    public string? OnOverflow { get; init; }

    /// <summary>Whether a request that a provider's content policy rejects is sent to other deployments. Default false.</summary>
    public bool FailsOverContentRejections { get; init; }

    public string? Task { get; init; }

    /// <summary>Native length of the vectors of an embedding model.</summary>
    public int? EmbeddingDimensions { get; init; }

    public IReadOnlyList<DeploymentConfig> Deployments { get; init; } = [];
}

/// <summary>All of them in the whole configuration.</summary>
internal static class ModelConfigSection
{
    private static readonly IReadOnlyDictionary<string, ModelConfig> None = new Dictionary<string, ModelConfig>();

    extension(GatewayConfiguration configuration)
    {
        /// <summary>Models by the names that clients send.</summary>
        public IReadOnlyDictionary<string, ModelConfig> Models => configuration.Section<IReadOnlyDictionary<string, ModelConfig>>() ?? None;
    }
}

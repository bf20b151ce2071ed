using Fairlead.Catalogue;
using Fairlead.Providers;

namespace Fairlead;

/// <summary>What the gateway must know of an embedding model from an <c>IEmbeddingGenerator</c>.</summary>
public sealed class EmbeddingModelOptions
{
    /// <summary>Length of the vectors; null when unknown. Default null.</summary>
    public int? Dimensions { get; set; }

    /// <summary>Whether a request may choose the length (<c>EmbeddingGenerationOptions.Dimensions</c>). Default false.</summary>
    public bool ChoosesDimensions { get; set; }

    /// <summary>Tokens of one text; null when unknown, and then not checked. Default null.</summary>
    public int? ContextWindow { get; set; }

    /// <summary>o200k, cl100k or the name of an estimated family; null for a separate, self-correcting estimate. Default null.</summary>
    public string? Tokenizer { get; set; }

    /// <summary>US dollars per million tokens. Default free.</summary>
    public PricesConfig? Prices { get; set; }

    /// <summary>Other names clients may send. Default none.</summary>
    public IList<string> Aliases { get; set; } = [];

    /// <summary>Time limits of one attempt; only the total applies here. Default 10 min.</summary>
    public ProviderTimeouts Timeouts { get; set; } = ProviderTimeouts.Default;

    /// <summary>Concurrent calls of the generator; null for no limit. Default null.</summary>
    public int? MaxConcurrency { get; set; }

    internal ModelConfig ToConfig(string name) => new()
    {
        Kind = "embedding",
        ContextWindow = ContextWindow,
        EmbeddingDimensions = Dimensions,
        Modalities = new ModalitiesConfig(["text"], ["embedding"]),
        Capabilities = new CapabilitiesConfig { Tools = false, JsonSchema = false, Logprobs = false, Dimensions = ChoosesDimensions },
        Tokenizer = Tokenizer,
        Prices = Prices is null ? null : [Prices],
        Aliases = [.. Aliases],
        Deployments = [new DeploymentConfig { Provider = name, Model = name, MaxConcurrency = MaxConcurrency, Timeouts = Timeouts }],
    };
}

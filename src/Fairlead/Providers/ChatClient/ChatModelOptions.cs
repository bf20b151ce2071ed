using Fairlead.Catalogue;
using Fairlead.Providers;

namespace Fairlead;

/// <summary>
/// What the gateway should know of a chat model made from an <c>IChatClient</c>. Requests that ask for more are refused before the client is
/// called, so the defaults promise little: text in, text out.
/// </summary>
public sealed class ChatModelOptions
{
    /// <summary>Tokens of input and output together; null when unknown, and then not checked. Default null.</summary>
    public int? ContextWindow { get; set; }

    /// <summary>Tokens of output; null when unknown. Default null.</summary>
    public int? MaxOutputTokens { get; set; }

    /// <summary>Of text, image, audio, pdf, video. Default text alone.</summary>
    public IList<string> InputModalities { get; set; } = ["text"];

    /// <summary>
    /// Whether the caller may bring tools. The client gets declarations without code behind them and hands its calls back to the caller;
    /// calls that the client answers itself in the same response stay its own affair. Default false.
    /// </summary>
    public bool Tools { get; set; }

    /// <summary>Whether the client honours <c>ChatOptions.ResponseFormat</c> with a schema. Default false.</summary>
    public bool JsonSchema { get; set; }

    /// <summary>Whether the client honours <c>ChatOptions.Reasoning</c>. Default false.</summary>
    public bool Reasoning { get; set; }

    /// <summary>Whether temperature and top_p may be asked for. Default true.</summary>
    public bool Sampling { get; set; } = true;

    /// <summary>Whether a conversation may end with an assistant turn that the client continues. Default false.</summary>
    public bool Prefill { get; set; }

    /// <summary>o200k, cl100k or the name of an estimated family; null for a self-correcting estimate of its own. Default null.</summary>
    public string? Tokenizer { get; set; }

    /// <summary>US dollars per million tokens. Default free.</summary>
    public PricesConfig? Prices { get; set; }

    /// <summary>Other names clients may send. Default none.</summary>
    public IList<string> Aliases { get; set; } = [];

    /// <summary>What the model is meant for, such as <c>code</c>; null for anything. Default null.</summary>
    public string? Task { get; set; }

    /// <summary>Bounds of one attempt. Default as for any provider: first content in 120 s, 60 s between pieces, 10 min in all.</summary>
    public ProviderTimeouts Timeouts { get; set; } = ProviderTimeouts.Default;

    /// <summary>Calls at the client at once; null for no bound. Default null.</summary>
    public int? MaxConcurrency { get; set; }

    internal ModelConfig ToConfig(string name) => new()
    {
        Kind = "chat",
        ContextWindow = ContextWindow,
        MaxOutputTokens = MaxOutputTokens,
        Modalities = new ModalitiesConfig([.. InputModalities], ["text"]),
        Capabilities = new CapabilitiesConfig
        {
            Tools = Tools,
            JsonSchema = JsonSchema,
            Reasoning = Reasoning,
            Sampling = Sampling,
            Prefill = Prefill,
            // IChatClient knows neither.
            Logprobs = false,
            MultipleChoices = false,
        },
        Tokenizer = Tokenizer,
        Prices = Prices,
        Aliases = [.. Aliases],
        Task = Task,
        Deployments = [new DeploymentConfig { Provider = name, Model = name, MaxConcurrency = MaxConcurrency, Timeouts = Timeouts }],
    };
}

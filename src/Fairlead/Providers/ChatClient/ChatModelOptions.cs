using Fairlead.Catalogue;
using Fairlead.Providers;

namespace Fairlead;

/// <summary>
/// What the gateway must know of a chat model from an <c>IChatClient</c>. Requests that need more are rejected before the client is
/// called, so the defaults are minimal: text in, text out.
/// </summary>
public sealed class ChatModelOptions
{
    /// <summary>Tokens of input and output together; null when unknown, and then not checked. Default null.</summary>
    public int? ContextWindow { get; set; }

    /// <summary>Tokens of output; null when unknown. Default null.</summary>
    public int? MaxOutputTokens { get; set; }

    /// <summary>Any of text, image, audio, pdf, video. Default: text only.</summary>
    public IList<string> InputModalities { get; set; } = ["text"];

    /// <summary>
    /// Whether the caller may send tools. The client gets declarations without code and returns its calls to the caller.
    /// Calls that the client handles itself in the same response are not returned. Default false.
    /// </summary>
    public bool Tools { get; set; }

    /// <summary>Whether the client supports <c>ChatOptions.ResponseFormat</c> with a schema. Default false.</summary>
    public bool JsonSchema { get; set; }

    /// <summary>Whether the client supports <c>ChatOptions.Reasoning</c>. Default false.</summary>
    public bool Reasoning { get; set; }

    /// <summary>Whether requests may set temperature and top_p. Default true.</summary>
    public bool Sampling { get; set; } = true;

    /// <summary>Whether a conversation may end with an assistant turn that the client continues. Default false.</summary>
    public bool Prefill { get; set; }

    /// <summary>o200k, cl100k or the name of an estimated family; null for a separate, self-correcting estimate. Default null.</summary>
    public string? Tokenizer { get; set; }

    /// <summary>US dollars per million tokens. Default free.</summary>
    public PricesConfig? Prices { get; set; }

    /// <summary>Other names clients may send. Default none.</summary>
    public IList<string> Aliases { get; set; } = [];

    /// <summary>The purpose of the model, such as <c>code</c>; null for any. Default null.</summary>
    public string? Task { get; set; }

    /// <summary>
    /// Time limits of one attempt. Default as for any provider: first content in 120 s, 60 s between fragments, 10 min in total.
    /// </summary>
    public ProviderTimeouts Timeouts { get; set; } = ProviderTimeouts.Default;

    /// <summary>Concurrent calls of the client; null for no limit. Default null.</summary>
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
            // IChatClient supports neither.
            Logprobs = false,
            MultipleChoices = false,
        },
        Tokenizer = Tokenizer,
        Prices = Prices is null ? null : [Prices],
        Aliases = [.. Aliases],
        Task = Task,
        Deployments = [new DeploymentConfig { Provider = name, Model = name, MaxConcurrency = MaxConcurrency, Timeouts = Timeouts }],
    };
}

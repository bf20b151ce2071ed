namespace Fairlead.Providers.OpenAi;

/// <summary>The kinds with OpenAI's API: OpenAI's own, Azure's, those of known vendors and servers, and any other.</summary>
internal static class OpenAiProviderKinds
{
    /// <summary>API of all kinds except Azure's, whose addresses and credentials differ.</summary>
    private const string Interface = "openai";

    private const string OpenAiAddress = "https://api.openai.com/v1";
    private const string MistralAddress = "https://api.mistral.ai/v1";
    private const string DeepSeekAddress = "https://api.deepseek.com/v1";

    public static readonly IReadOnlyList<OpenAiProviderKind> All =
    [
        new(Interface)
        {
            DefaultBaseUrl = OpenAiAddress,
            ModelOwner = OpenAiVendors.OpenAi.ModelOwner,
            // A server elsewhere is not OpenAI.
            TelemetryName = "openai-compatible",
            Vendors = [OpenAiVendors.OpenAi, .. OpenAiVendors.Others],
            ServesAnyVendor = true,
            HasResponses = true,
            EnvironmentProviders =
            [
                new("openai") { KeyVariables = ["OPENAI_API_KEY"], BaseUrl = OpenAiAddress },
                new("mistral") { KeyVariables = ["MISTRAL_API_KEY"], BaseUrl = MistralAddress },
                new("deepseek") { KeyVariables = ["DEEPSEEK_API_KEY"], BaseUrl = DeepSeekAddress },
                new("xai") { KeyVariables = ["XAI_API_KEY"], BaseUrl = "https://api.x.ai/v1" },
                new("groq") { KeyVariables = ["GROQ_API_KEY"], BaseUrl = "https://api.groq.com/openai/v1" },
                new("openrouter") { KeyVariables = ["OPENROUTER_API_KEY"], BaseUrl = "https://openrouter.ai/api/v1" },
                new("ollama") { AddressVariable = "OLLAMA_HOST", ReadAddress = OllamaAddress.Read },
            ],
        },
        new("azure")
        {
            TelemetryName = OpenAiVendors.Azure.TelemetryName!,
            Vendors = [OpenAiVendors.Azure],
            IsAzure = true,
            HasResponses = true,
            EnvironmentProviders = [new("azure") { KeyVariables = ["AZURE_OPENAI_API_KEY"], AddressVariable = "AZURE_OPENAI_ENDPOINT" }],
        },
        new("vllm") { Interface = Interface, DefaultBaseUrl = "http://127.0.0.1:8000/v1", TakesTopK = true },
        new("ollama") { Interface = Interface, DefaultBaseUrl = "http://127.0.0.1:11434/v1", DefaultPath = "/v1", TakesTopK = true },
        new("mistral")
        {
            Interface = Interface,
            DefaultBaseUrl = MistralAddress,
            ModelOwner = OpenAiVendors.Mistral.ModelOwner,
            TelemetryName = OpenAiVendors.Mistral.TelemetryName!,
            Vendors = [OpenAiVendors.Mistral],
        },
        new("deepseek")
        {
            Interface = Interface,
            DefaultBaseUrl = DeepSeekAddress,
            ModelOwner = OpenAiVendors.DeepSeek.ModelOwner,
            TelemetryName = OpenAiVendors.DeepSeek.TelemetryName!,
            Vendors = [OpenAiVendors.DeepSeek],
            TakesReasoningBack = true,
        },
        new("openai-compatible") { Interface = Interface },
    ];
}

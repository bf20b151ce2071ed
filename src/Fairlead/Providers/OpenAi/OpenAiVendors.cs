namespace Fairlead.Providers.OpenAi;

/// <summary>The vendors that are known by the host of an OpenAI-compatible server.</summary>
internal static class OpenAiVendors
{
    public static readonly OpenAiVendor OpenAi = new("api.openai.com")
    {
        TelemetryName = "openai",
        ModelOwner = "openai",
        ProviderNames = ["openai"],
        HasOpenAiModels = true,
        HasCompletions = false,
    };

    // No model owner: customers name their deployments themselves.
    public static readonly OpenAiVendor Azure = new("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com")
    {
        TelemetryName = "azure.ai.openai",
        HasOpenAiModels = true,
        HasCompletions = false,
    };

    public static readonly OpenAiVendor Mistral = new("api.mistral.ai")
    {
        TelemetryName = "mistral_ai",
        ModelOwner = "mistral",
        ProviderNames = ["mistral"],
        HasCompletions = false,
    };

    public static readonly OpenAiVendor DeepSeek = new("api.deepseek.com")
    {
        TelemetryName = "deepseek",
        ModelOwner = "deepseek",
        ProviderNames = ["deepseek"],
        HasCompletions = false,
        TakesReasoningBack = true,
    };

    /// <summary>Vendors without a kind of their own.</summary>
    public static readonly IReadOnlyList<OpenAiVendor> Others =
    [
        // The prices of Llama's models are those of Groq.
        new("api.groq.com") { TelemetryName = "groq", ModelOwner = "meta", ProviderNames = ["groq"], HasCompletions = false },
        new("api.x.ai") { TelemetryName = "x_ai" },
        new("api.perplexity.ai") { TelemetryName = "perplexity" },
        new("cohere.ai", "cohere.com") { TelemetryName = "cohere" },
        new("moonshot.ai", "moonshot.cn") { TelemetryName = "moonshot_ai", TakesReasoningBack = true },
        new("openrouter.ai") { TelemetryName = "openrouter" },
        new("aliyuncs.com") { ModelOwner = "qwen", ProviderNames = ["qwen"] },
    ];
}

using Fairlead.Configuration;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Providers.Http;

namespace Fairlead.Providers.OpenAi;

/// <summary>
/// What is particular about one server of OpenAI's interface: its addresses, its credential header, and the few fields in which the
/// servers differ. Immutable.
/// </summary>
internal sealed class OpenAiEndpoint
{
    private static readonly string[] Paths = [ChatWire.Path, CompletionsWire.Path, EmbeddingsWire.Path, ResponsesWire.Path, CompactionWire.Path];

    private readonly string _baseUrl;
    private readonly string? _datedVersion;
    private readonly Dictionary<string, Uri> _fixed = new(StringComparer.Ordinal);

    public OpenAiEndpoint(ProviderConfig config)
    {
        Kind = config.Kind;
        var baseUrl = AddressOf(config)
            ?? throw new ArgumentException($"A provider of kind '{config.Kind}' needs a baseUrl.", nameof(config));
        Address = UpstreamClientFactory.Address(baseUrl, "");
        var host = Address.Host;
        IsAzure = IsAzureAt(config.Kind, baseUrl);
        IsOpenAi = IsAzure || HostIs(host, "api.openai.com");
        HasCompletions = !IsOpenAi && !HostIs(host, "api.mistral.ai") && !HostIs(host, "api.deepseek.com") && !HostIs(host, "api.groq.com");
        TakesReasoningBack = config.Kind == "deepseek" || HostIs(host, "api.deepseek.com") || HostIs(host, "moonshot.ai") || HostIs(host, "moonshot.cn");
        TelemetryName = IsAzure ? "azure.ai.openai"
            : HostIs(host, "api.openai.com") ? "openai"
            : HostIs(host, "api.mistral.ai") || config.Kind == "mistral" ? "mistral_ai"
            : HostIs(host, "api.deepseek.com") || config.Kind == "deepseek" ? "deepseek"
            : HostIs(host, "api.groq.com") ? "groq"
            : HostIs(host, "api.x.ai") ? "x_ai"
            : HostIs(host, "api.perplexity.ai") ? "perplexity"
            : HostIs(host, "cohere.ai") || HostIs(host, "cohere.com") ? "cohere"
            : HostIs(host, "moonshot.ai") || HostIs(host, "moonshot.cn") ? "moonshot_ai"
            : HostIs(host, "openrouter.ai") ? "openrouter"
            : HostIs(host, "generativelanguage.googleapis.com") ? "gcp.gemini"
            // Whoever speaks OpenAI's language elsewhere is not OpenAI.
            : config.Kind == "openai" ? "openai-compatible" : config.Kind;

        _datedVersion = IsAzure ? config.ApiVersion : null;
        if (IsAzure)
        {
            var resource = Without(Without(baseUrl, "/v1"), "/openai");
            baseUrl = _datedVersion is null ? resource + "/openai/v1" : resource + "/openai/deployments";
        }
        else if (config.Kind == "ollama" && new Uri(baseUrl).AbsolutePath == "/")
        {
            baseUrl += "/v1";
        }
        _baseUrl = baseUrl;
        foreach (var path in Paths) _fixed.Add(path, UpstreamClientFactory.Address(baseUrl, path));
    }

    /// <summary>The configured address, or the maker's own; null where there is neither.</summary>
    public static string? AddressOf(ProviderConfig config) => (config.BaseUrl ?? DefaultBaseUrl(config.Kind))?.TrimEnd('/');

    /// <summary>Whether Azure answers there, by its kind or its host.</summary>
    public static bool IsAzureAt(string kind, string baseUrl)
    {
        var host = UpstreamClientFactory.Address(baseUrl, "").Host;
        return kind == "azure" || HostIs(host, "openai.azure.com") || HostIs(host, "services.ai.azure.com") || HostIs(host, "cognitiveservices.azure.com");
    }

    public string Kind { get; }

    public Uri Address { get; }

    public bool IsAzure { get; }

    /// <summary>OpenAI's own models, there or at Azure: newest field names, chat only.</summary>
    public bool IsOpenAi { get; }

    /// <summary>
    /// Whether it takes <c>system</c> and <c>max_tokens</c> rather than <c>developer</c> and <c>max_completion_tokens</c>, which many
    /// servers refuse or, worse, ignore.
    /// </summary>
    public bool TakesOlderNames => !IsOpenAi;

    /// <summary>
    /// Whether it wants the reasoning of earlier turns back, as <c>reasoning_content</c>: models that think between calls of tools go on
    /// from it.
    /// </summary>
    public bool TakesReasoningBack { get; }

    /// <summary>Whether it still has text completions.</summary>
    public bool HasCompletions { get; }

    /// <summary>Whether it speaks Responses: OpenAI itself and what is configured as such, and Azure's undated interface.</summary>
    public bool HasResponses => Kind is "openai" or "azure" && _datedVersion is null;

    /// <summary>Whether the server may have the endpoint at this path.</summary>
    public bool HasPath(string path) => path switch
    {
        CompletionsWire.Path => HasCompletions,
        ResponsesWire.Path or CompactionWire.Path => HasResponses,
        _ => _fixed.ContainsKey(path),
    };

    /// <summary>
    /// Whether a missing-path status may mean that the server lacks this endpoint. Every server has chat and embeddings, and OpenAI's own
    /// servers have all endpoints: there the status is about the model.
    /// </summary>
    public bool MayLack(string path) => path is CompletionsWire.Path or ResponsesWire.Path or CompactionWire.Path && (IsAzure || !IsOpenAi);

    public string TelemetryName { get; }

    public const string AzureKeyHeader = "api-key";

    public const string BearerHeader = "Authorization";

    public string KeyHeader => IsAzure ? AzureKeyHeader : BearerHeader;

    public string KeyPrefix => IsAzure ? "" : "Bearer ";

    /// <summary>Whether <c>top_k</c> is known there.</summary>
    public bool TakesTopK => Kind is "vllm" or "ollama";

    public Uri AddressOf(string path, string upstreamModel) => _datedVersion is null
        ? _fixed[path]
        : UpstreamClientFactory.Address(_baseUrl, $"/{Uri.EscapeDataString(upstreamModel)}{path}?api-version={Uri.EscapeDataString(_datedVersion)}");

    private static string? DefaultBaseUrl(string kind) => kind switch
    {
        "openai" => "https://api.openai.com/v1",
        "mistral" => "https://api.mistral.ai/v1",
        "deepseek" => "https://api.deepseek.com/v1",
        "ollama" => "http://127.0.0.1:11434/v1",
        "vllm" => "http://127.0.0.1:8000/v1",
        _ => null,
    };

    private static bool HostIs(string host, string name) =>
        host.Equals(name, StringComparison.OrdinalIgnoreCase) || host.EndsWith("." + name, StringComparison.OrdinalIgnoreCase);

    private static string Without(string url, string end) => url.EndsWith(end, StringComparison.OrdinalIgnoreCase) ? url[..^end.Length] : url;
}

using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>Which company's models a configured provider has, so that its key alone is enough to use them.</summary>
internal static class Companies
{
    // Several companies speak OpenAI's format, so there the address tells. Llama's rows were priced at Groq.
    private static readonly (string Host, string Company)[] Hosts =
    [
        ("api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("generativelanguage.googleapis.com", "google"),
        ("api.mistral.ai", "mistral"),
        ("api.deepseek.com", "deepseek"),
        ("api.groq.com", "meta"),
        ("aliyuncs.com", "qwen"),
    ];

    private static readonly Dictionary<string, string> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        ["openai"] = "openai",
        ["anthropic"] = "anthropic",
        ["claude"] = "anthropic",
        ["google"] = "google",
        ["gemini"] = "google",
        ["mistral"] = "mistral",
        ["deepseek"] = "deepseek",
        ["groq"] = "meta",
        ["qwen"] = "qwen",
    };

    /// <summary>
    /// The company, or null when nothing is offered without being listed: a server of one's own (vLLM, Ollama) or Azure, where
    /// whoever made a deployment chose its name.
    /// </summary>
    public static string? Of(string name, ProviderConfig config) => config.Kind switch
    {
        "simulated" => "simulated",
        "anthropic" => "anthropic",
        "gemini" => "google",
        "mistral" or "deepseek" => config.BaseUrl is null ? config.Kind : OfHost(config.BaseUrl),
        "openai" => config.BaseUrl is null ? "openai" : OfHost(config.BaseUrl) ?? Names.GetValueOrDefault(name),
        _ => null,
    };

    private static string? OfHost(string baseUrl)
    {
        if (!Uri.TryCreate(baseUrl, UriKind.Absolute, out var uri)) return null;
        foreach (var (host, company) in Hosts)
        {
            if (uri.Host.Equals(host, StringComparison.OrdinalIgnoreCase) || uri.Host.EndsWith("." + host, StringComparison.OrdinalIgnoreCase)) return company;
        }
        return null;
    }
}

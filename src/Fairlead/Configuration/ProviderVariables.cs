namespace Fairlead.Configuration;

/// <summary>The environment variables by which the makers' own tools know their credentials; each switches a provider on.</summary>
internal static class ProviderVariables
{
    private static readonly (string Variable, string Provider, string Kind, string? BaseUrl)[] Known =
    [
        ("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com/v1"),
        ("ANTHROPIC_API_KEY", "anthropic", "anthropic", "https://api.anthropic.com"),
        ("GEMINI_API_KEY", "gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta"),
        ("GOOGLE_API_KEY", "gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta"),
        ("MISTRAL_API_KEY", "mistral", "openai", "https://api.mistral.ai/v1"),
        ("DEEPSEEK_API_KEY", "deepseek", "openai", "https://api.deepseek.com/v1"),
        ("XAI_API_KEY", "xai", "openai", "https://api.x.ai/v1"),
        ("GROQ_API_KEY", "groq", "openai", "https://api.groq.com/openai/v1"),
        ("OPENROUTER_API_KEY", "openrouter", "openai", "https://openrouter.ai/api/v1"),
    ];

    /// <summary>All names, for the documentation.</summary>
    public static IEnumerable<(string Variable, string Provider)> Documented =>
        Known.Select(k => (k.Variable, k.Provider)).Append(("AZURE_OPENAI_API_KEY with AZURE_OPENAI_ENDPOINT", "azure")).Append(("OLLAMA_HOST", "ollama"));

    /// <summary>Providers that are on without being written anywhere, as nodes of <c>fairlead.providers</c>.</summary>
    public static IEnumerable<(string Name, ConfigMap Provider)> Read(IReadOnlyDictionary<string, string> environment)
    {
        yield return ("simulated", Node("built in", "simulated", null, null));
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (variable, provider, kind, baseUrl) in Known)
        {
            if (Value(variable) is { } key && seen.Add(provider)) yield return (provider, Node(variable, kind, baseUrl, key));
        }
        if (Value("AZURE_OPENAI_API_KEY") is { } azureKey && Value("AZURE_OPENAI_ENDPOINT") is { } endpoint) yield return ("azure", Node("AZURE_OPENAI_ENDPOINT", "azure", endpoint, azureKey));
        if (Value("OLLAMA_HOST") is { } host) yield return ("ollama", Node("OLLAMA_HOST", "openai", OllamaAddress(host), null));

        string? Value(string name) => environment.TryGetValue(name, out var value) && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;
    }

    /// <summary>Whether one of <paramref name="providers"/>, of the same kind, refers to a variable that switches <paramref name="name"/> on.</summary>
    public static bool IsUsed(string name, ConfigMap provider, ConfigMap providers)
    {
        var spoken = InterfaceOf((provider.Find("kind") as ConfigScalar)?.Value);
        var variables = VariablesOf(name);
        return providers.Entries.Any(one => one.Value is ConfigMap written
            && InterfaceOf((written.Find("kind") as ConfigScalar)?.Value) == spoken
            && Texts(written).Any(text => variables.Any(variable => RefersTo(text, variable))));
    }

    private static string[] VariablesOf(string provider) => provider switch
    {
        "azure" => ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"],
        "ollama" => ["OLLAMA_HOST"],
        _ => [.. Known.Where(k => k.Provider == provider).Select(k => k.Variable)],
    };

    // Servers of OpenAI's interface go by several kinds.
    private static string? InterfaceOf(string? kind) => kind is "mistral" or "deepseek" or "vllm" or "ollama" or "openai-compatible" ? "openai" : kind;

    private static IEnumerable<string> Texts(ConfigNode node) => node switch
    {
        ConfigScalar { Written: { } text } => [text],
        ConfigMap map => map.Entries.SelectMany(entry => Texts(entry.Value)),
        ConfigList list => list.Items.SelectMany(Texts),
        _ => [],
    };

    private static bool RefersTo(string text, string variable) => text.Contains("${" + variable + "}", StringComparison.Ordinal) || text.Contains("${" + variable + ":-", StringComparison.Ordinal);

    // Ollama itself accepts a bare host or host:port here, 0.0.0.0 included when it is the server's own setting.
    private static string OllamaAddress(string host)
    {
        var address = host.Contains("://", StringComparison.Ordinal) ? host : "http://" + host;
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri)) return address;
        var builder = new UriBuilder(uri);
        if (builder.Host == "0.0.0.0") builder.Host = "127.0.0.1";
        if (uri.IsDefaultPort && !host.Contains("://", StringComparison.Ordinal)) builder.Port = 11434;
        if (builder.Path is "" or "/") builder.Path = "/v1";
        return builder.Uri.ToString().TrimEnd('/');
    }

    private static ConfigMap Node(string source, string kind, string? baseUrl, string? apiKey)
    {
        var origin = new ConfigOrigin(source);
        var map = new ConfigMap(origin);
        map.TryAdd("kind", new ConfigScalar(kind, origin));
        if (baseUrl is not null) map.TryAdd("baseUrl", new ConfigScalar(baseUrl, origin));
        if (apiKey is not null) map.TryAdd("apiKey", new ConfigScalar(apiKey, origin));
        return map;
    }
}

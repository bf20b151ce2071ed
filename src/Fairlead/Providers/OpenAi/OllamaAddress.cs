namespace Fairlead.Providers.OpenAi;

/// <summary>Reads <c>OLLAMA_HOST</c> as Ollama's own tools do.</summary>
internal static class OllamaAddress
{
    private const int DefaultPort = 11434;

    /// <summary>
    /// The base URL for a host, a host with a port, or an address. <c>0.0.0.0</c>, the server's own setting, becomes loopback.
    /// </summary>
    public static string Read(string host)
    {
        var hasScheme = host.Contains("://", StringComparison.Ordinal);
        var address = hasScheme ? host : "http://" + host;
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri)) return address;
        var builder = new UriBuilder(uri);
        if (builder.Host == "0.0.0.0") builder.Host = "127.0.0.1";
        if (uri.IsDefaultPort && !hasScheme) builder.Port = DefaultPort;
        if (builder.Path is "" or "/") builder.Path = "/v1";
        return builder.Uri.ToString().TrimEnd('/');
    }
}

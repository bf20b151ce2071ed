using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Providers.Http;

namespace Fairlead.Providers.OpenAi;

internal sealed class OpenAiProviderFactory(UpstreamClientFactory clients) : IProviderFactory
{
    public IReadOnlyList<string> Kinds { get; } = ["openai", "azure", "vllm", "ollama", "deepseek", "mistral", "openai-compatible"];

    public Provider Create(string name, ProviderConfig config) => new OpenAiProvider(name, config, clients);

    public string? CredentialHeader(ProviderConfig config) =>
        OpenAiEndpoint.AddressOf(config) is { } address && OpenAiEndpoint.IsAzureAt(config.Kind, address) ? OpenAiEndpoint.AzureKeyHeader : OpenAiEndpoint.BearerHeader;

    public IEnumerable<CatalogueFault> Check(ProviderConfig config)
    {
        if (OpenAiEndpoint.AddressOf(config) is not { } address)
        {
            yield return new("baseUrl", null, config.Kind == "azure"
                ? "Add the address of your resource, such as https://name.openai.azure.com."
                : "Add the server's address up to and including its version segment, such as http://host:8000/v1.");
        }
        else if (config.ApiVersion is { } version && !OpenAiEndpoint.IsAzureAt(config.Kind, address))
        {
            yield return new("apiVersion", version, "Only Azure's interface has dated versions; remove the key.");
        }
    }
}

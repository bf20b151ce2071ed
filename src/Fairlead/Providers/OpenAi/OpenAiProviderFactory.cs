using Fairlead.Configuration;
using Fairlead.Providers.Http;

namespace Fairlead.Providers.OpenAi;

internal sealed class OpenAiProviderFactory(UpstreamClientFactory clients) : IProviderFactory
{
    public IReadOnlyList<string> Kinds { get; } = ["openai", "azure", "vllm", "ollama", "deepseek", "mistral", "openai-compatible"];

    public Provider Create(string name, ProviderConfig config) => new OpenAiProvider(name, config, clients);
}

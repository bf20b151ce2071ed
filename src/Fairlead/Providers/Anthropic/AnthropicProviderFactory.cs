using Fairlead.Configuration;
using Fairlead.Providers.Http;

namespace Fairlead.Providers.Anthropic;

internal sealed class AnthropicProviderFactory(UpstreamClientFactory clients) : IProviderFactory
{
    public IReadOnlyList<string> Kinds { get; } = [AnthropicProvider.KindName];

    public string? CredentialHeader(ProviderConfig config) => AnthropicProvider.KeyHeader;

    public Provider Create(string name, ProviderConfig config) => new AnthropicProvider(name, config, clients.Create(name, config));
}

using Fairlead.Configuration;
using Fairlead.Providers.Http;

namespace Fairlead.Providers.Gemini;

internal sealed class GeminiProviderFactory(UpstreamClientFactory clients) : IProviderFactory
{
    public IReadOnlyList<string> Kinds { get; } = [GeminiProvider.KindName];

    public string? CredentialHeader(ProviderConfig config) => GeminiProvider.KeyHeader;

    public Provider Create(string name, ProviderConfig config) => new GeminiProvider(name, config, clients.Create(name, config));
}

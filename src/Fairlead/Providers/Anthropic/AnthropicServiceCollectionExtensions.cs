using Fairlead.Providers.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.Anthropic;

internal static class AnthropicServiceCollectionExtensions
{
    /// <summary>The provider kind <c>anthropic</c>.</summary>
    internal static IServiceCollection AddAnthropicProvider(this IServiceCollection services)
    {
        services.AddUpstreamHttp();
        services.AddSingleton<IProviderFactory, AnthropicProviderFactory>();
        return services;
    }
}

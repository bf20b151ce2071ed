using Fairlead.Providers.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.OpenAi;

internal static class OpenAiServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiProvider(this IServiceCollection services)
    {
        services.AddUpstreamHttp();
        services.AddSingleton<IProviderFactory, OpenAiProviderFactory>();
        return services;
    }
}

using Fairlead.Providers.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.Gemini;

internal static class GeminiServiceCollectionExtensions
{
    /// <summary>The provider kind <c>gemini</c>.</summary>
    internal static IServiceCollection AddGeminiProvider(this IServiceCollection services)
    {
        services.AddUpstreamHttp();
        services.AddSingleton<IProviderFactory, GeminiProviderFactory>();
        return services;
    }
}

using Fairlead.Providers.ChatClient;
using Fairlead.Providers.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Providers;

internal static class ProvidersServiceCollectionExtensions
{
    /// <summary>Every kind of provider. Needs token counting. Further kinds are registered as <see cref="ProviderKind"/>.</summary>
    internal static IServiceCollection AddProviders(this IServiceCollection services)
    {
        services.AddUpstreamHttp();
        services.AddChatClientProviders();
        foreach (var kind in BuiltInProviderKinds.All) services.AddSingleton(kind);
        services.TryAddSingleton<ProviderKinds>();
        return services;
    }
}

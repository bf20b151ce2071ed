using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Providers.Http;

internal static class UpstreamHttpServiceCollectionExtensions
{
    /// <summary>Services that every HTTP provider needs.</summary>
    internal static IServiceCollection AddUpstreamHttp(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<UpstreamClientFactory>();
        return services;
    }
}

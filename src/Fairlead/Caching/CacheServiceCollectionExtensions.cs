using Fairlead.Access;
using Fairlead.Erasure;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Caching;

internal static class CacheServiceCollectionExtensions
{
    /// <summary>The cache of responses. Needs the storage, the identity of requests and the connection to Redis.</summary>
    internal static IServiceCollection AddCaching(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddMetrics();
        services.AddSingleton<ISchemaStep, CacheSchema>();
        services.AddSingleton<CacheMetrics>();
        services.AddSingleton<RedisLevel>();
        services.AddSingleton<OutputCache>();
        services.AddSingleton<CacheDeletions>();
        services.AddSingleton<CacheKeys>();
        services.AddSingleton<IErasable, ErasableCache>();
        services.AddSingleton<IGatewayStage, CacheStage>();
        services.AddSingleton<IAdminEndpoints, CacheEndpoints>();
        services.AddHostedService<CacheDeletionsRefresher>();
        return services;
    }
}

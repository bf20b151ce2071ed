using Fairlead.Configuration;
using Fairlead.Telemetry;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Limits.Redis;

internal static class RedisServiceCollectionExtensions
{
    /// <summary>Rates and concurrency of all nodes together, if the configuration names a Redis.</summary>
    internal static IServiceCollection AddSharedRates(this IServiceCollection services)
    {
        services.AddMetrics();
        services.AddSingleton(provider => new RedisConnection(
            provider.GetRequiredService<IConfigurationSource>().Current.Redis.ConnectionString));
        services.AddSingleton<RedisWatch>();
        services.AddSingleton(provider => new RedisRateStore(
            provider.GetRequiredService<RedisConnection>(), provider.GetRequiredService<RedisWatch>()));
        services.AddSingleton<RedisMetrics>();
        services.AddSingleton<RedisCircuit>();
        services.TryAddSingleton<RedisRates>();
        services.TryAddSingleton<ISharedRates>(provider => provider.GetRequiredService<RedisRates>());
        services.AddSingleton<IReadinessCheck, RedisReadinessCheck>();
        services.AddHostedService<RedisHeartbeat>();
        return services;
    }
}

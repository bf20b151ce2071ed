using Fairlead.Configuration;
using Fairlead.Pipeline;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Telemetry;

internal static class HealthServiceCollectionExtensions
{
    /// <summary>Probes and the drain. Needs configuration and storage.</summary>
    internal static IServiceCollection AddHealth(this IServiceCollection services)
    {
        services.TryAddSingleton<DrainState>();
        services.AddSingleton<IReadinessCheck, StartupReadinessCheck>();
        services.AddSingleton<IReadinessCheck, DrainReadinessCheck>();
        services.AddSingleton<IReadinessCheck, StoreReadinessCheck>();
        services.AddHostedService<DrainService>();
        // The host's shutdown timeout covers the drain, the last events and closing the stores.
        services.AddOptions<HostOptions>().Configure<IConfigurationSource>((options, source) =>
            options.ShutdownTimeout = source.Current.DrainTimeout + DrainService.LastResponses + TimeSpan.FromSeconds(10));
        return services;
    }
}

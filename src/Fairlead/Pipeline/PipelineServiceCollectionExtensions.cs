using Fairlead.Configuration;
using Fairlead.Catalogue;
using Fairlead.Http;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Pipeline;

internal static class PipelineServiceCollectionExtensions
{
    internal static IServiceCollection AddPipeline(this IServiceCollection services)
    {
        services.AddSingleton<IGatewayStage, CatalogueStage>();
        services.TryAddSingleton(provider =>
        {
            var configuration = provider.GetRequiredService<IConfigurationSource>();
            return new Memory.MemoryBudget(
                () => configuration.Current.Requests.MemoryBudget, () => configuration.Current.Requests.MaxMemoryPerKey,
                provider.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        });
        services.TryAddSingleton<GatewayPipeline>();
        services.TryAddSingleton<AttemptCharge>();
        services.TryAddSingleton<CallEnder>();
        services.TryAddSingleton<RefusalRecords>();
        services.TryAddSingleton<DrainState>();
        services.AddSingleton<IStartupFilter, TrustedProxies>();
        services.TryAddSingleton<CrossOriginRequests>();
        services.TryAddSingleton<ErrorEdgeMiddleware>();
        services.AddSingleton<IStartupFilter>(provider => provider.GetRequiredService<CrossOriginRequests>());
        services.AddSingleton<IStartupFilter>(provider => provider.GetRequiredService<ErrorEdgeMiddleware>());
        return services;
    }
}

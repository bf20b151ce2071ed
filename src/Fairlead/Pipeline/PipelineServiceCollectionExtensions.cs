using Fairlead.Catalogue;
using Fairlead.Delivery;
using Fairlead.Http;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Pipeline;

internal static class PipelineServiceCollectionExtensions
{
    internal static IServiceCollection AddPipeline(this IServiceCollection services)
    {
        services.AddSingleton<IGatewayStage, CatalogueStage>();
        services.TryAddSingleton<Memory.MemoryBudget>();
        services.TryAddSingleton<GatewayPipeline>();
        services.TryAddSingleton<AttemptCharge>();
        services.TryAddSingleton<CallEnder>();
        services.TryAddSingleton<RefusalRecords>();
        services.TryAddSingleton<DrainState>();
        services.TryAddSingleton<StreamSweep>();
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<StreamSweep>());
        services.TryAddSingleton<StreamDelivery>();
        services.TryAddSingleton<GatewayEndpoint>();
        services.AddSingleton<IStartupFilter, TrustedProxies>();
        services.TryAddSingleton<CrossOriginRequests>();
        services.TryAddSingleton<ErrorEdgeMiddleware>();
        services.AddSingleton<IStartupFilter>(provider => provider.GetRequiredService<CrossOriginRequests>());
        services.AddSingleton<IStartupFilter>(provider => provider.GetRequiredService<ErrorEdgeMiddleware>());
        return services;
    }
}

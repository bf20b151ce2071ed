using Fairlead.Catalogue;
using Fairlead.Pipeline;
using Fairlead.Routing.Probes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Routing;

internal static class RoutingServiceCollectionExtensions
{
    internal static IServiceCollection AddDeploymentRouting(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton(new RoutingRandom());
        services.AddSingleton<DeploymentHealths>();
        services.AddSingleton<IBreakerStates>(provider => provider.GetRequiredService<DeploymentHealths>());
        services.AddSingleton<DeploymentAvailability>();
        services.AddSingleton<RoutingMetrics>();
        services.AddSingleton<DeploymentSelector>();
        services.AddSingleton<ProbeCall>();
        services.AddSingleton<ProbeRunner>();
        services.AddHostedService<DeploymentProber>();
        services.AddSingleton<AttemptRunner>();
        services.AddSingleton<DeploymentTrial>();
        services.AddSingleton<LocalTokenCount>();
        services.AddSingleton<IGatewayStage, RoutingStage>();
        return services;
    }
}

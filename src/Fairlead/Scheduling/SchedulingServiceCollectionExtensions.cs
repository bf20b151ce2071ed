using Fairlead.Scheduling.Adaptive;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Scheduling;

internal static class SchedulingServiceCollectionExtensions
{
    internal static IServiceCollection AddScheduling(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<DeploymentSlots>();
        services.AddSingleton<DeploymentLoads>();
        services.AddSingleton<SchedulingMetrics>();
        services.AddSingleton<Scheduler>();
        services.AddHostedService<LearningService>();
        return services;
    }
}

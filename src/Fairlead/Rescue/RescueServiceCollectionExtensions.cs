using Fairlead.Pipeline;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Rescue;

internal static class RescueServiceCollectionExtensions
{
    internal static IServiceCollection AddStreamRescue(this IServiceCollection services)
    {
        services.AddSingleton<RescueMetrics>();
        services.AddSingleton<RescueStarter>();
        services.AddSingleton<IGatewayStage, RescueStage>();
        return services;
    }
}

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Telemetry;

internal static class TelemetryServiceCollectionExtensions
{
    /// <summary>Traces and metrics of calls. Exporting them is the program's affair.</summary>
    internal static IServiceCollection AddTelemetry(this IServiceCollection services)
    {
        services.AddMetrics();
        services.TryAddSingleton<GatewayTelemetry>();
        return services;
    }
}

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Telemetry;

internal static class TelemetryServiceCollectionExtensions
{
    /// <summary>Traces and metrics of calls. The program configures their export.</summary>
    internal static IServiceCollection AddTelemetry(this IServiceCollection services)
    {
        services.AddMetrics();
        services.TryAddSingleton<GatewayTelemetry>();
        return services;
    }
}

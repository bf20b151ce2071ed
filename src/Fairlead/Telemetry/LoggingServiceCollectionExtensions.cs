using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

internal static class LoggingServiceCollectionExtensions
{
    /// <summary>Limits the lines of the gateway's own types, wherever the app's loggers write them.</summary>
    internal static IServiceCollection AddLimitedLogging(this IServiceCollection services)
    {
        services.AddLogging();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<RepeatedLines>();
        // The type of the logger and not the factory: apps replace that by their own.
        services.Replace(ServiceDescriptor.Singleton(typeof(ILogger<>), typeof(LimitedLogger<>)));
        return services;
    }
}

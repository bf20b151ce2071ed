using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

internal static class LoggingServiceCollectionExtensions
{
    /// <summary>
    /// Limits the lines of the gateway's own types, in all of the app's loggers. No effect after <see cref="LimitAllLogging"/>: counting a
    /// line twice would lose its count.
    /// </summary>
    internal static IServiceCollection AddLimitedLogging(this IServiceCollection services)
    {
        services.AddLogging();
        services.TryAddSingleton(TimeProvider.System);
        if (services.Any(service => service.ServiceType == typeof(LimitedProviders))) return services;
        services.TryAddSingleton<RepeatedLines>();
        // The type of the logger, not the factory: apps replace the factory.
        services.Replace(ServiceDescriptor.Singleton(typeof(ILogger<>), typeof(LimitedLogger<>)));
        return services;
    }

    /// <summary>
    /// Limits the lines of all types, including the web server, in the providers that are registered so far. For a program that owns its
    /// log.
    /// Disabled levels are filtered before they reach a provider, so they cost nothing more.
    /// </summary>
    internal static IServiceCollection LimitAllLogging(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<LimitedProviders>();
        for (var i = 0; i < services.Count; i++)
        {
            if (services[i] is not { ServiceType: { } type, IsKeyedService: false } registered || type != typeof(ILoggerProvider)) continue;
            services[i] = ServiceDescriptor.Singleton<ILoggerProvider>(provider =>
                new LimitedLoggerProvider(Make(provider, registered), provider.GetRequiredService<TimeProvider>()));
        }
        return services;
    }

    private static ILoggerProvider Make(IServiceProvider provider, ServiceDescriptor registered) => (ILoggerProvider)(
        registered.ImplementationInstance ?? registered.ImplementationFactory?.Invoke(provider)
            ?? ActivatorUtilities.CreateInstance(provider, registered.ImplementationType!));

    /// <summary>Registered where the providers limit all lines.</summary>
    private sealed class LimitedProviders;
}

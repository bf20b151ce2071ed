using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Fairlead.Configuration;

internal static class ConfigurationServiceCollectionExtensions
{
    /// <summary>Reads file and environment on first use of <see cref="IConfigurationSource"/>, which throws <see cref="ConfigurationException"/> when there are faults.</summary>
    /// <param name="services">Gets the source.</param>
    /// <param name="input">Where to read from; the process's own environment and directory when null.</param>
    public static IServiceCollection AddGatewayConfiguration(this IServiceCollection services, ConfigurationInput? input = null)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IConfigurationSource>(provider => new FileConfigurationSource(
            input ?? ConfigurationInput.FromProcess(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<FileConfigurationSource>>()));
        return services;
    }
}

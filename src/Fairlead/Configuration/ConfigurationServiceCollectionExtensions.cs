using Fairlead.Catalogue;
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
            WithCatalogue(input ?? ConfigurationInput.FromProcess(), provider.GetService<CatalogueBuilder>()),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<FileConfigurationSource>>()));
        return services;
    }

    /// <summary>The same input, checked against what a catalogue can be made of.</summary>
    internal static ConfigurationInput WithCatalogue(this ConfigurationInput input, CatalogueBuilder? catalogue) => catalogue is null ? input : input with
    {
        Checks = [.. input.Checks, configuration => catalogue.Check(configuration).Select(f => new ConfigurationFault("fairlead." + f.Key, f.Value, f.Remedy, ""))],
    };
}

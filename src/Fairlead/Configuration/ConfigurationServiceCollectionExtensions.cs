using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Fairlead.Configuration;

internal static class ConfigurationServiceCollectionExtensions
{
    /// <summary>
    /// Reads file and environment on first use of <see cref="IConfigurationSource"/>, which throws <see cref="ConfigurationException"/>
    /// when there are errors. Needs <see cref="ConfigKeys"/>.
    /// </summary>
    /// <param name="services">The service collection.</param>
    /// <param name="input">What to read; the process's own environment and directory when null.</param>
    public static IServiceCollection AddGatewayConfiguration(this IServiceCollection services, ConfigurationInput? input = null)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IConfigurationSource>(provider => new FileConfigurationSource(
            (input ?? ConfigurationInput.FromProcess()).For(provider),
            provider.GetRequiredService<ConfigKeys>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<FileConfigurationSource>>()));
        return services;
    }

    /// <summary>The same input, with the checks of this program's services.</summary>
    internal static ConfigurationInput For(this ConfigurationInput input, IServiceProvider services) => input with
    {
        Checks =
        [
            .. input.Checks,
            .. services.GetServices<IConfigurationCheck>()
                .Select(check => (Func<GatewayConfiguration, IEnumerable<ConfigurationError>>)check.Check),
        ],
    };
}

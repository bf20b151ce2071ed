using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.Simulated;

internal static class SimulatedProviderServiceCollectionExtensions
{
    /// <summary>The kind <c>simulated</c>. Needs token counting.</summary>
    internal static IServiceCollection AddSimulatedProvider(this IServiceCollection services)
    {
        services.AddSingleton<IProviderFactory, SimulatedProviderFactory>();
        return services;
    }
}

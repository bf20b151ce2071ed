using Fairlead.Access;
using Fairlead.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Catalogue;

internal static class CatalogueServiceCollectionExtensions
{
    /// <summary>The catalogue of the current configuration. Needs <c>IConfigurationSource</c> and the kinds of providers.</summary>
    internal static IServiceCollection AddCatalogue(this IServiceCollection services)
    {
        services.AddSingleton<CatalogueBuilder>();
        services.AddSingleton<IConfigurationCheck, CatalogueConfigurationCheck>();
        services.AddSingleton<ICatalogue, ReloadingCatalogue>();
        services.AddSingleton<IAdminEndpoints, DeploymentEndpoints>();
        return services;
    }
}

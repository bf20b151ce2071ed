using Fairlead.Access;
using Fairlead.Catalogue.States;
using Fairlead.Configuration;
using Fairlead.Storage;
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
        services.AddSingleton<ISchemaStep, DeploymentStateSchema>();
        services.AddSingleton<DeploymentStates>();
        services.AddSingleton<DeploymentStateStore>();
        services.AddHostedService<DeploymentStateRefresher>();
        return services;
    }
}

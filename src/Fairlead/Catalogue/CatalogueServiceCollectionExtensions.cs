using Fairlead.Access;
using Fairlead.Catalogue.States;
using Fairlead.Catalogue.Stored;
using Fairlead.Configuration;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

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
        services.AddSingleton<ISchemaStep, StoredProviderSchema>();
        services.TryAddSingleton<IHostResolver, SystemHostResolver>();
        services.AddSingleton<SecretBox>();
        services.AddSingleton<StoredProviderNames>();
        services.AddSingleton<IConfigurationCheck>(provider => provider.GetRequiredService<StoredProviderNames>());
        services.AddSingleton<StoredProviders>();
        services.AddHostedService<StoredProviderRefresher>();
        services.AddSingleton<IAdminEndpoints, StoredProviderEndpoints>();
        services.AddSingleton<IAdminEndpoints, StoredProviderKeyEndpoints>();
        return services;
    }
}

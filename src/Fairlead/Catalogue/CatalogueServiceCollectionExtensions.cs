using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Catalogue;

internal static class CatalogueServiceCollectionExtensions
{
    /// <summary>The catalogue over the present configuration. Needs <c>IConfigurationSource</c> and the providers' factories.</summary>
    internal static IServiceCollection AddCatalogue(this IServiceCollection services)
    {
        services.AddSingleton<CatalogueBuilder>();
        services.AddSingleton<ICatalogue, ReloadingCatalogue>();
        return services;
    }
}

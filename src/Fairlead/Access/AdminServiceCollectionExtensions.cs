using Fairlead.Catalogue;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Access;

internal static class AdminServiceCollectionExtensions
{
    /// <summary>The endpoints under <c>/admin/v1</c>. Needs the storage, the callers and the endpoints' entry point.</summary>
    internal static IServiceCollection AddAdmin(this IServiceCollection services)
    {
        services.AddAdminResource<OrganizationRow, OrganizationResource>();
        services.AddAdminResource<ProjectRow, ProjectResource>();
        services.AddSingleton<IAdminEndpoints, KeyEndpoints>();
        services.AddSingleton<AdminSignIns>();
        services.AddSingleton(provider => new ModelWarnings(provider.GetService<ICatalogue>()));
        return services;
    }

    private static void AddAdminResource<TRow, TResource>(this IServiceCollection services)
        where TRow : AdminRow
        where TResource : AdminResource<TRow>
    {
        services.AddSingleton<AdminResource<TRow>, TResource>();
        services.AddSingleton<IAdminEndpoints, AdminResourceEndpoints<TRow>>();
    }
}

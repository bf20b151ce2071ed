using Fairlead.Catalogue;
using Fairlead.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Access;

internal static class AdminServiceCollectionExtensions
{
    /// <summary>The endpoints under <c>/admin/v1</c>. Needs the storage and the callers.</summary>
    internal static IServiceCollection AddAdmin(this IServiceCollection services)
    {
        services.AddSingleton<AdminDoor>();
        services.AddSingleton<OrganizationEndpoints>();
        services.AddSingleton<ProjectEndpoints>();
        services.AddSingleton<KeyEndpoints>();
        services.AddSingleton(provider => new ModelWarnings(provider.GetService<ICatalogue>()));
        return services;
    }
}

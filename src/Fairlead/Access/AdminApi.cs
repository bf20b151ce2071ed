using Fairlead.Errors;
using Fairlead.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Access;

/// <summary>The admin API.</summary>
internal static class AdminApi
{
    /// <summary>Where its paths start.</summary>
    public const string Root = "/admin/v1";

    private static readonly EndpointPolicy Policy = new(Scopes.AdminRead, ErrorShape.Problem);

    /// <summary>Maps all registered <see cref="IAdminEndpoints"/>.</summary>
    internal static void MapAdmin(this IEndpointRouteBuilder endpoints)
    {
        var read = new EndpointRoutes(endpoints, Root, Policy);
        var write = new EndpointRoutes(endpoints, Root, Policy with { Scope = Scopes.AdminWrite });
        foreach (var resource in endpoints.ServiceProvider.GetServices<IAdminEndpoints>()) resource.Map(read, write);
    }
}

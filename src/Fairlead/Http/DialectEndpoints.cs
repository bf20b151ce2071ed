using Fairlead.Delivery;
using Fairlead.Dialects;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>Maps every registered dialect to its address.</summary>
internal static class DialectEndpoints
{
    public static void MapDialects(this IEndpointRouteBuilder endpoints)
    {
        var endpoint = endpoints.ServiceProvider.GetRequiredService<GatewayEndpoint>();
        foreach (var dialect in endpoints.ServiceProvider.GetRequiredService<DialectRegistry>().All)
        {
            RequestDelegate serve = context => endpoint.HandleAsync(context, dialect);
            endpoints.MapPost(dialect.Path, serve).WithDisplayName($"{dialect.Name} at {dialect.Path}");
        }
    }
}

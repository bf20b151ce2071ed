using Fairlead.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Responses;

internal static class ResponsesServiceCollectionExtensions
{
    internal static IServiceCollection AddStoredResponses(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, ResponseSchema>();
        services.AddSingleton<IResponseStore, DatabaseResponseStore>();
        services.AddSingleton<ResponseFiles>();
        services.AddSingleton<ResponseKeeper>();
        services.AddSingleton<BackgroundResponses>();
        services.AddSingleton<StoredResponseEndpoints>();
        services.AddSingleton<ResponseSocketEndpoint>();
        services.AddSingleton<IStartupFilter>(provider => provider.GetRequiredService<ResponseSocketEndpoint>());
        services.AddSingleton<IHostedService, ResponseRetention>();
        return services;
    }

    internal static IEndpointRouteBuilder MapStoredResponses(this IEndpointRouteBuilder endpoints)
    {
        var handlers = endpoints.ServiceProvider.GetRequiredService<StoredResponseEndpoints>();
        endpoints.MapGet(ResponseSocketEndpoint.Path, (RequestDelegate)endpoints.ServiceProvider.GetRequiredService<ResponseSocketEndpoint>().ServeAsync);
        endpoints.MapGet("/v1/responses/{id}", (RequestDelegate)handlers.GetAsync);
        endpoints.MapDelete("/v1/responses/{id}", (RequestDelegate)handlers.DeleteAsync);
        endpoints.MapPost("/v1/responses/{id}/cancel", (RequestDelegate)handlers.CancelAsync);
        endpoints.MapGet("/v1/responses/{id}/input_items", (RequestDelegate)handlers.InputItemsAsync);
        return endpoints;
    }
}

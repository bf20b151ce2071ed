using Fairlead.Access;
using Fairlead.Erasure;
using Fairlead.Errors;
using Fairlead.Http;
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
    /// <summary>Stored responses, background responses and WebSockets.</summary>
    internal static IServiceCollection AddStoredResponses(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, ResponseSchema>();
        services.AddSingleton<ISchemaStep, ResponseOwnerSchema>();
        services.AddSingleton<ErasableResponses>();
        services.AddSingleton<IErasureSource>(provider => provider.GetRequiredService<ErasableResponses>());
        services.AddSingleton<IErasable>(provider => provider.GetRequiredService<ErasableResponses>());
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
        var socket = endpoints.ServiceProvider.GetRequiredService<ResponseSocketEndpoint>();
        endpoints.MapGet(ResponseSocketEndpoint.Path, (RequestDelegate)socket.ServeAsync);

        var responses = endpoints.ServiceProvider.GetRequiredService<StoredResponseEndpoints>();
        var routes = new EndpointRoutes(endpoints, "/v1/responses", new EndpointPolicy(Scopes.Chat, ErrorShape.OpenAi)
        {
            StoreError = ResponseKeeper.Unavailable,
        });
        routes.Get("/{id}", responses.GetAsync);
        routes.Delete("/{id}", responses.DeleteAsync);
        routes.Post("/{id}/cancel", responses.CancelAsync);
        routes.Get("/{id}/input_items", responses.InputItemsAsync);
        return endpoints;
    }
}

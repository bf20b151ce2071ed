using Fairlead.Erasure;
using Fairlead.Files;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Batches;

internal static class BatchesServiceCollectionExtensions
{
    internal static IServiceCollection AddBatches(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, BatchSchema>();
        services.AddSingleton<BatchStore>();
        services.AddSingleton<IErasable, ErasableBatches>();
        services.AddSingleton<BatchFeeder>();
        services.AddSingleton<BatchAssembler>();
        services.AddSingleton<BatchWorker>();
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<BatchWorker>());
        services.AddSingleton<BatchEndpoints>();
        return services;
    }

    internal static void MapBatches(this IEndpointRouteBuilder endpoints)
    {
        var batches = endpoints.ServiceProvider.GetRequiredService<BatchEndpoints>();
        var routes = new EndpointRoutes(endpoints, "/v1/batches", FilesServiceCollectionExtensions.Policy);
        routes.Post("", batches.CreateAsync);
        routes.Read("", batches.ListAsync);
        routes.Read("/{id}", batches.GetAsync);
        routes.Post("/{id}/cancel", batches.CancelAsync);
    }
}

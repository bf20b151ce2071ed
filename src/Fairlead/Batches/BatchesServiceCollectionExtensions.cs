using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
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
        endpoints.MapPost("/v1/batches", (RequestDelegate)batches.CreateAsync);
        endpoints.MapRead("/v1/batches", (RequestDelegate)batches.ListAsync);
        endpoints.MapRead("/v1/batches/{id}", (RequestDelegate)batches.GetAsync);
        endpoints.MapPost("/v1/batches/{id}/cancel", (RequestDelegate)batches.CancelAsync);
    }
}

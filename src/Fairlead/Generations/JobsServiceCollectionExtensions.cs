using Fairlead.Access;
using Fairlead.Dialects;
using Fairlead.Erasure;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Generations;

internal static class JobsServiceCollectionExtensions
{
    /// <summary>Generations that outlive their request: their stores, the job worker, and their endpoints.</summary>
    internal static IServiceCollection AddJobs(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, GenerationSchema>();
        services.AddSingleton<ISchemaStep, GenerationWebhookSchema>();
        services.AddSingleton<ISchemaStep, GenerationEventsSchema>();
        services.AddSingleton<ISchemaStep, GenerationBatchSchema>();
        services.AddSingleton<ISchemaStep, GenerationSuspicionSchema>();
        services.AddSingleton<ISchemaStep, GenerationQueueSchema>();
        services.AddSingleton<ISchemaStep, GenerationHoldSchema>();
        services.AddSingleton<GenerationSql>();
        services.AddSingleton<IGenerationStore, GenerationStore>();
        services.AddSingleton<IGenerationInserter, GenerationInserter>();
        services.AddSingleton<GenerationQueue>();
        services.AddSingleton<RunLeases>();
        services.AddSingleton<GenerationEnds>();
        services.AddSingleton<GenerationEventStore>();
        services.AddSingleton<GenerationDeletion>();
        services.AddSingleton<DialectRegistry>();
        services.AddSingleton<EventMemory>(
            provider => new EventMemory(EventMemory.MaxBytes, provider.GetRequiredService<Memory.MemoryBudget>()));
        services.AddSingleton<RunningGenerations>();
        services.AddSingleton<GenerationRunner>();
        services.AddSingleton<JobCalls>();
        services.AddSingleton<HeldReservations>();
        services.AddSingleton<JobLines>();
        services.AddSingleton<JobHolds>();
        services.AddSingleton<JobSignal>();
        services.AddSingleton<WriteRetry>();
        services.AddSingleton<NodeLeases>();
        services.AddSingleton<GenerationEndFactory>();
        services.AddSingleton<DisownedGenerations>();
        services.AddSingleton<RunFinisher>();
        services.AddSingleton<JobStarter>();
        services.AddSingleton<JobTaker>();
        services.AddSingleton<IHostedService, JobWorker>();
        services.AddSingleton<IHostedService, EventKeeper>();
        services.AddSingleton<IHostedService, GenerationExpiry>();
        services.AddSingleton<GenerationFollowers>();
        services.AddSingleton<GenerationWriter>();
        services.AddSingleton<ErasableGenerations>();
        services.AddSingleton<IErasureSource>(provider => provider.GetRequiredService<ErasableGenerations>());
        services.AddSingleton<IErasable>(provider => provider.GetRequiredService<ErasableGenerations>());
        services.AddSingleton<GenerationListing>();
        services.AddSingleton<GenerationEndpoints>();
        return services;
    }

    internal static void MapGenerations(this IEndpointRouteBuilder endpoints)
    {
        var generations = endpoints.ServiceProvider.GetRequiredService<GenerationEndpoints>();
        var routes = new EndpointRoutes(endpoints, "/v2/generations", new EndpointPolicy(Scopes.Chat, ErrorShape.Problem)
        {
            StoreError = new GatewayError(ErrorCode.StoreUnavailable, "The database of the generations cannot be read now.")
            {
                RetryAfter = TimeSpan.FromSeconds(5),
            },
            LogStoreError = (logger, exception) => JobsLog.StoreUnavailable(logger, StorageErrors.Describe(exception)),
        });
        routes.Read("", endpoints.ServiceProvider.GetRequiredService<GenerationListing>().ListAsync);
        routes.Read("/{id}", generations.GetAsync);
        routes.Read("/{id}/result", generations.ResultAsync);
        routes.Get("/{id}/events", generations.EventsAsync);
        routes.Post("/{id}/cancel", generations.CancelAsync);
    }
}

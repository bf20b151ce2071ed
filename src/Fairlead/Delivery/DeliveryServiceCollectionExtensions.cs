using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Delivery;

internal static class DeliveryServiceCollectionExtensions
{
    /// <summary>The entry point of generating requests, and the five deliveries of their responses.</summary>
    internal static IServiceCollection AddDelivery(this IServiceCollection services)
    {
        services.TryAddSingleton<StreamSweep>();
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<StreamSweep>());
        services.TryAddSingleton<CallReader>();
        services.TryAddSingleton<CallAuthentication>();
        services.TryAddSingleton<LiveCalls>();
        services.TryAddSingleton<IdempotencyReplay>();
        services.TryAddSingleton<JobAdmission>();
        services.TryAddSingleton<AcceptedJobs>();
        services.TryAddSingleton<AcceptedResponse>();
        services.TryAddSingleton<KeptStreams>();
        services.TryAddSingleton<SyncDelivery>();
        services.TryAddSingleton<StreamDelivery>();
        services.TryAddSingleton<KeptStreamDelivery>();
        services.TryAddSingleton<QueuedDelivery>();
        services.TryAddSingleton<HybridDelivery>();
        services.TryAddSingleton<StoredDelivery>();
        services.TryAddSingleton<AwaitedResult>();
        services.TryAddSingleton<Deliveries>();
        services.TryAddSingleton<CallConclusion>();
        services.TryAddSingleton<GatewayEndpoint>();
        return services;
    }
}

using Fairlead.Pipeline;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Coalescing;

internal static class CoalescingServiceCollectionExtensions
{
    internal static IServiceCollection AddCoalescing(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<CoalescingMetrics>();
        services.AddSingleton<EmbeddingFlights>();
        services.AddSingleton<EmbeddingKeys>();
        services.AddSingleton<EmbeddingTakeovers>();
        services.AddSingleton<EmbeddingPayments>();
        services.AddSingleton<EmbeddingRequests>();
        services.AddSingleton<EmbeddingBatches>();
        services.AddSingleton<GenerationFlights>();
        services.AddSingleton<GenerationSharing>();
        services.AddSingleton<IGatewayStage, CoalescingStage>();
        return services;
    }
}

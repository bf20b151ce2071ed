using Fairlead.Erasure;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Idempotency;

internal static class IdempotencyServiceCollectionExtensions
{
    /// <summary>Requests that can be repeated safely.</summary>
    internal static IServiceCollection AddIdempotency(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, IdempotencySchema>();
        services.AddSingleton<IdempotencyStore>();
        services.AddSingleton<ErasableIdempotencyKeys>();
        services.AddSingleton<IErasureSource>(provider => provider.GetRequiredService<ErasableIdempotencyKeys>());
        services.AddSingleton<IErasable>(provider => provider.GetRequiredService<ErasableIdempotencyKeys>());
        services.AddSingleton<IdempotencyKeys>();
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<IdempotencyKeys>());
        services.AddSingleton<IGatewayStage, IdempotencyStage>();
        return services;
    }
}

using Fairlead.Access;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Erasure;

internal static class ErasureServiceCollectionExtensions
{
    /// <summary>Erasures over all stores that register an <see cref="IErasable"/>. Needs the storage, and the audit records.</summary>
    internal static IServiceCollection AddErasure(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, ErasureSchema>();
        services.AddSingleton<ErasureQueue>();
        services.AddSingleton<ErasureCleaning>();
        services.AddSingleton<ErasureBook>();
        services.AddSingleton<IErasedGenerations>(provider => provider.GetRequiredService<ErasureBook>());
        services.AddSingleton<ErasureWorker>();
        services.AddHostedService(provider => provider.GetRequiredService<ErasureWorker>());
        services.AddSingleton<IAdminEndpoints, ErasureEndpoints>();
        return services;
    }
}

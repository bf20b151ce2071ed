using Fairlead.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Storage;

internal static class StorageServiceCollectionExtensions
{
    /// <summary>The database: connections and the application of schema steps, which the slices register.</summary>
    internal static IServiceCollection AddStorage(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<DataFolderLock>();
        services.AddSingleton<IHostedService, DataFolderGuard>();
        services.AddSingleton<SchemaMigrator>();
        services.AddSingleton<SqliteStorage>();
        services.AddSingleton<PostgresStorage>();
        services.AddSingleton<IStorage>(provider =>
            provider.GetRequiredService<IConfigurationSource>().Current.Storage.Provider == StorageConfig.Postgres
                ? provider.GetRequiredService<PostgresStorage>()
                : provider.GetRequiredService<SqliteStorage>());
        return services;
    }
}

using Fairlead.Access;
using Fairlead.Erasure;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Files;

internal static class FilesServiceCollectionExtensions
{
    /// <summary>For files and for batches, which read and write files.</summary>
    internal static readonly EndpointPolicy Policy = new(Scopes.Batches, ErrorShape.OpenAi)
    {
        StoreError = new GatewayError(ErrorCode.StoreUnavailable, "Files and batches cannot be stored or read at the moment.")
        {
            RetryAfter = TimeSpan.FromSeconds(5),
        },
        LogStoreError = (logger, exception) => FilesLog.StoreUnavailable(logger, StorageErrors.Describe(exception)),
    };

    internal static IServiceCollection AddFiles(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, FileSchema>();
        services.AddSingleton<FileStore>();
        services.AddSingleton<IErasable, ErasableFiles>();
        services.AddSingleton<IFileContents>(provider => provider.GetRequiredService<IStorage>().Provider == StorageProvider.Sqlite
            ? ActivatorUtilities.CreateInstance<DiskFileContents>(provider)
            : new DatabaseFileContents(provider.GetRequiredService<IStorage>()));
        services.AddSingleton<FileEndpoints>();
        services.AddSingleton<FileSweeper>();
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<FileSweeper>());
        return services;
    }

    internal static void MapFiles(this IEndpointRouteBuilder endpoints)
    {
        var files = endpoints.ServiceProvider.GetRequiredService<FileEndpoints>();
        var routes = new EndpointRoutes(endpoints, "/v1/files", Policy);
        routes.Post("", files.UploadAsync);
        routes.Read("", files.ListAsync);
        routes.Read("/{id}", files.GetAsync);
        routes.Delete("/{id}", files.DeleteAsync);
        routes.Read("/{id}/content", files.ContentAsync);
    }
}

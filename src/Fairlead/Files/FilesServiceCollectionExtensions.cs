using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Files;

internal static class FilesServiceCollectionExtensions
{
    internal static IServiceCollection AddFiles(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, FileSchema>();
        services.AddSingleton<FileStore>();
        services.AddSingleton<IFileContents>(provider => provider.GetRequiredService<IStorage>().Provider == StorageProvider.Sqlite
            ? ActivatorUtilities.CreateInstance<DiskFileContents>(provider)
            : new DatabaseFileContents(provider.GetRequiredService<IStorage>()));
        services.AddSingleton<OpenAiObjects>();
        services.AddSingleton<FileEndpoints>();
        services.AddSingleton<FileSweeper>();
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<FileSweeper>());
        return services;
    }

    internal static void MapFiles(this IEndpointRouteBuilder endpoints)
    {
        var files = endpoints.ServiceProvider.GetRequiredService<FileEndpoints>();
        endpoints.MapPost("/v1/files", (RequestDelegate)files.UploadAsync);
        endpoints.MapRead("/v1/files", (RequestDelegate)files.ListAsync);
        endpoints.MapRead("/v1/files/{id}", (RequestDelegate)files.GetAsync);
        endpoints.MapDelete("/v1/files/{id}", (RequestDelegate)files.DeleteAsync);
        endpoints.MapRead("/v1/files/{id}/content", (RequestDelegate)files.ContentAsync);
    }
}

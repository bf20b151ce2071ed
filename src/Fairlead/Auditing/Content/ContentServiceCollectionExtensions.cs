using Fairlead.Access;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Auditing.Content;

internal static class ContentServiceCollectionExtensions
{
    /// <summary>The recorded content of calls. Needs the chain of audit records, and their reader.</summary>
    internal static IServiceCollection AddAuditContent(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, ContentSchema>();
        services.AddSingleton<IGatewayStage, AuditContentStage>();
        services.AddSingleton<IContentRecordings, ContentRecordings>();
        services.AddSingleton<ContentSealer>();
        services.AddSingleton<ContentView>();
        services.AddSingleton<ContentRemover>();
        services.AddSingleton<IAuditContent>(provider => provider.GetRequiredService<ContentRemover>());
        return services;
    }
}

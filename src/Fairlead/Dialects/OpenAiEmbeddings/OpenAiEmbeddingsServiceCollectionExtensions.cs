using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.OpenAiEmbeddings;

internal static class OpenAiEmbeddingsServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiEmbeddings(this IServiceCollection services)
    {
        services.AddSingleton(OpenAiEmbeddingsDialect.Create());
        return services;
    }
}

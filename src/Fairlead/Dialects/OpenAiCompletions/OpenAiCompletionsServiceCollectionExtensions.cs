using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.OpenAiCompletions;

internal static class OpenAiCompletionsServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiCompletions(this IServiceCollection services)
    {
        services.AddSingleton(OpenAiCompletionsDialect.Create());
        return services;
    }
}

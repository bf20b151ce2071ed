using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.OpenAiCompletions;

internal static class OpenAiCompletionsServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiCompletions(this IServiceCollection services)
    {
        services.AddSingleton<OpenAiCompletionsDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<OpenAiCompletionsDialect>());
        return services;
    }
}

using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.OpenAiResponses;

internal static class OpenAiResponsesServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiResponses(this IServiceCollection services)
    {
        services.AddSingleton<ResponsesDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<ResponsesDialect>());
        services.AddSingleton<InputTokensDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<InputTokensDialect>());
        services.AddSingleton<CompactDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<CompactDialect>());
        return services;
    }
}

using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.TokenCounting;

internal static class TokenCountingServiceCollectionExtensions
{
    internal static IServiceCollection AddTokenCounting(this IServiceCollection services)
    {
        services.AddSingleton<TokenCounter>();
        services.AddHostedService<VocabularyWarmUp>();
        return services;
    }
}

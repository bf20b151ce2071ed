using Fairlead.Responses;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.OpenAiResponses;

internal static class OpenAiResponsesServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiResponses(this IServiceCollection services)
    {
        services.AddSingleton(provider => ResponsesDialect.Create(provider.GetService<ResponseKeeper>()));
        services.AddSingleton(provider => InputTokensDialect.Create(provider.GetService<ResponseKeeper>()));
        services.AddSingleton(provider => CompactDialect.Create(provider.GetService<ResponseKeeper>()));
        return services;
    }
}

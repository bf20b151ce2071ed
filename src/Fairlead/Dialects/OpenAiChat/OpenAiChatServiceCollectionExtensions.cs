using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.OpenAiChat;

internal static class OpenAiChatServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiChat(this IServiceCollection services)
    {
        services.AddSingleton(OpenAiChatDialect.Create());
        return services;
    }
}

using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.OpenAiChat;

internal static class OpenAiChatServiceCollectionExtensions
{
    internal static IServiceCollection AddOpenAiChat(this IServiceCollection services)
    {
        services.AddSingleton<OpenAiChatDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<OpenAiChatDialect>());
        return services;
    }
}

using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.AnthropicMessages;

internal static class AnthropicMessagesServiceCollectionExtensions
{
    /// <summary>The Messages API and its token counting.</summary>
    internal static IServiceCollection AddAnthropicMessages(this IServiceCollection services)
    {
        services.AddSingleton(MessagesDialect.Create());
        services.AddSingleton(CountTokensDialect.Create());
        return services;
    }
}

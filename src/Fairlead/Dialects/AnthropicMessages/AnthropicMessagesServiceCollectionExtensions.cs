using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.AnthropicMessages;

internal static class AnthropicMessagesServiceCollectionExtensions
{
    /// <summary>The dialects <see cref="MessagesDialect"/> and <see cref="CountTokensDialect"/>, by their own types and as <see cref="Dialect"/>.</summary>
    internal static IServiceCollection AddAnthropicMessages(this IServiceCollection services)
    {
        services.AddSingleton<MessagesDialect>();
        services.AddSingleton<CountTokensDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<MessagesDialect>());
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<CountTokensDialect>());
        return services;
    }
}

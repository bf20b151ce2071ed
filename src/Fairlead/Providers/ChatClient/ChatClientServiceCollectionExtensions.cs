using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Providers.ChatClient;

internal static class ChatClientServiceCollectionExtensions
{
    /// <summary>What models of the embedding program need; the models themselves come by <see cref="ModelRegistrationExtensions"/>.</summary>
    internal static IServiceCollection AddChatClientProviders(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddLogging();
        return services;
    }
}

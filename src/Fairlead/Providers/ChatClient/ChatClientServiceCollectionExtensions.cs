using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Providers.ChatClient;

internal static class ChatClientServiceCollectionExtensions
{
    /// <summary>
    /// Services for models of the host application. <see cref="ModelRegistrationExtensions"/> adds the models themselves.
    /// </summary>
    internal static IServiceCollection AddChatClientProviders(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddLogging();
        return services;
    }
}

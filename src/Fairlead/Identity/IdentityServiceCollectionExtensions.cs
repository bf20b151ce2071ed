using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Identity;

internal static class IdentityServiceCollectionExtensions
{
    /// <summary>The identity of requests, and the parts that need no slice of their own.</summary>
    internal static IServiceCollection AddRequestIdentity(this IServiceCollection services)
    {
        services.AddSingleton<IIdentityPart, CallerIdentity>();
        services.AddSingleton<IIdentityPart, ModelIdentity>();
        services.AddSingleton<IIdentityPart, OutputIdentity>();
        services.TryAddSingleton<RequestIdentity>();
        return services;
    }
}

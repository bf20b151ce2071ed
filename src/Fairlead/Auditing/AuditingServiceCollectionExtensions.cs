using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Auditing;

internal static class AuditingServiceCollectionExtensions
{
    /// <summary>The spool. Resolving it opens this node's folder.</summary>
    internal static IServiceCollection AddAuditing(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => SpoolOptions.From(provider.GetRequiredService<IConfigurationSource>().Current));
        services.AddSingleton<Spool>();
        services.AddSingleton<ISpool>(provider => provider.GetRequiredService<Spool>());
        return services;
    }
}

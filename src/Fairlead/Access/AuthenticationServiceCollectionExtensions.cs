using Fairlead.Access.Tokens;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Access;

internal static class AuthenticationServiceCollectionExtensions
{
    /// <summary>
    /// Callers from keys: the snapshot and its refresh, the admin key of the environment, the first start. Needs the storage.
    /// </summary>
    internal static IServiceCollection AddCallers(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, AccessSchema>();
        services.AddSingleton<ISchemaStep, KeyBatchingSchema>();
        services.AddSingleton<ISchemaStep, LimitsSchema>();
        services.AddSingleton<ISchemaStep, OrganizationSharingSchema>();
        services.AddSingleton<ISchemaStep, KeyRescueSchema>();
        services.AddSingleton<ISchemaStep, CacheModeSchema>();
        services.AddSingleton<ISchemaStep, KeyRoleSchema>();
        services.AddSingleton<ISchemaStep, AuditContentSchema>();
        services.AddSingleton<ISchemaStep, OrganizationRetentionSchema>();
        services.AddSingleton<ISchemaStep, DeletedOrganizationSchema>();
        services.AddSingleton<ISchemaStep, KeyUseSchema>();
        services.AddSingleton<ISchemaStep, KeyNoticeSchema>();
        services.AddSingleton(provider => new AdminKey(
            provider.GetService<IConfiguration>()?[AdminKey.Variable], provider.GetService<IContentRecordings>()));
        services.AddSingleton(provider => new ClientKey(
            provider.GetService<IConfiguration>()?[ClientKey.Variable], provider.GetRequiredService<AdminKey>(),
            provider.GetService<IContentRecordings>()));
        services.AddSingleton<ApplicationCallers>();
        services.AddSingleton<CallerSnapshotReader>();
        services.AddSingleton<CallerSnapshots>();
        services.AddMetrics();
        services.AddSingleton<AccessMetrics>();
        services.AddSingleton<WrongKeys>();
        services.TryAddSingleton<IHostResolver, SystemHostResolver>();
        services.AddSingleton(provider => new IssuerKeyReader(
            provider.GetRequiredService<IHostResolver>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<TokenVerifier>();
        services.AddSingleton<TokenCallers>();
        services.AddSingleton<ICallerSource, ApiKeyCallerSource>();
        services.AddSingleton<AccessChanges>();
        services.AddSingleton<FirstStart>();
        services.AddHostedService<CallerSnapshotRefresher>();
        services.AddHostedService<KeyUseWriter>();
        return services;
    }
}

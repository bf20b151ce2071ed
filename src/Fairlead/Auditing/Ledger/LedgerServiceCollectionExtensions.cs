using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Auditing.Ledger;

internal static class LedgerServiceCollectionExtensions
{
    /// <summary>Moves records from the spool to the database, and reads them there. Needs Auditing, Storage and Authentication.</summary>
    internal static IServiceCollection AddLedger(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<ISchemaStep, LedgerSchema>();
        services.AddSingleton<ISchemaStep, CompactLedgerSchema>();
        services.AddSingleton<LedgerShipper>();
        services.AddHostedService(provider => provider.GetRequiredService<LedgerShipper>());
        services.AddHostedService<LedgerRetention>();
        services.AddSingleton<AuditReader>();
        services.AddSingleton<UsageReader>();
        services.AddSingleton<LedgerEndpoints>();
        return services;
    }

    /// <summary><c>GET /admin/v1/audit</c>, <c>GET /admin/v1/usage</c> and <c>GET /v2/usage</c>.</summary>
    internal static void MapLedger(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapRead("/admin/v1/audit", static context => context.RequestServices.GetRequiredService<LedgerEndpoints>()
            .AuditAsync(context));
        endpoints.MapRead("/admin/v1/usage", static context => context.RequestServices.GetRequiredService<LedgerEndpoints>()
            .AdminUsageAsync(context));
        endpoints.MapRead("/v2/usage", static context => context.RequestServices.GetRequiredService<LedgerEndpoints>()
            .OwnUsageAsync(context));
    }
}

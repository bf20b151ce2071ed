using Fairlead.Access;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Exports;
using Fairlead.Auditing.Removal;
using Fairlead.Erasure;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
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
        services.AddSingleton<ISchemaStep, UsageClassSchema>();
        services.AddSingleton<ISchemaStep, ReconciliationSchema>();
        services.AddSingleton<ISchemaStep, AuditBlockSchema>();
        services.AddAuditChain();
        services.AddSingleton<LedgerShipper>();
        services.AddHostedService(provider => provider.GetRequiredService<LedgerShipper>());
        services.AddHostedService<LedgerRetention>();
        services.AddHostedService<LegacyRecords>();
        services.AddSingleton<AuditReader>();
        services.AddAuditContent();
        services.AddSingleton<ISchemaStep, AuditExportSchema>();
        services.AddSingleton<AuditExporter>();
        services.AddSingleton<AuditExportEndpoints>();
        services.AddHostedService<ScheduledExport>();
        services.AddSingleton<Pipeline.IAuditedCalls, AuditedCalls>();
        services.AddSingleton<RecordRemoval>();
        services.AddSingleton<ErasableRecords>();
        services.AddSingleton<IErasureSource>(provider => provider.GetRequiredService<ErasableRecords>());
        services.AddSingleton<IErasable>(provider => provider.GetRequiredService<ErasableRecords>());
        services.AddSingleton<IErasable, ErasableContents>();
        services.AddHostedService<LateRecords>();
        services.AddSingleton<UsageReader>();
        services.AddSingleton<ReconciliationReader>();
        services.AddSingleton<LedgerEndpoints>();
        return services;
    }

    /// <summary>
    /// <c>GET /admin/v1/audit</c>, <c>GET /admin/v1/audit/export</c>, <c>GET /admin/v1/usage</c>, <c>GET /admin/v1/reconciliation</c> and <c>GET /v2/usage</c>.
    /// </summary>
    internal static void MapLedger(this IEndpointRouteBuilder endpoints)
    {
        var ledger = endpoints.ServiceProvider.GetRequiredService<LedgerEndpoints>();
        var policy = new EndpointPolicy(Scopes.AdminRead, ErrorShape.Problem)
        {
            StoreError = new GatewayError(ErrorCode.StoreUnavailable, "The database of audit records cannot be read at the moment.")
            {
                RetryAfter = TimeSpan.FromSeconds(5),
            },
        };
        var admin = new EndpointRoutes(endpoints, AdminApi.Root, policy);
        admin.OfOrganizations.Read("/audit", ledger.AuditAsync);
        admin.OfOrganizations.Get("/audit/export", endpoints.ServiceProvider.GetRequiredService<AuditExportEndpoints>().ExportAsync);
        admin.OfOrganizations.Read("/usage", ledger.AdminUsageAsync);
        // Of providers, which all organizations share.
        admin.Read("/reconciliation", ledger.ReconciliationAsync);
        new EndpointRoutes(endpoints, "/v2", policy with { Scope = Scopes.UsageRead }).Read("/usage", ledger.OwnUsageAsync);
    }
}

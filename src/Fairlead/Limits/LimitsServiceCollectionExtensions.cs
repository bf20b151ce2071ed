using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Limits.Budgets;
using Fairlead.Limits.Elastic;
using Fairlead.Limits.Redis;
using Fairlead.Limits.Thresholds;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Limits;

internal static class LimitsServiceCollectionExtensions
{
    internal static IServiceCollection AddLimits(this IServiceCollection services)
    {
        services.TryAddSingleton<LimitAccounts>();
        services.TryAddSingleton<IBudgetSlices>(provider => provider.GetRequiredService<LimitAccounts>());
        services.TryAddSingleton<OutputHistories>();
        services.AddSingleton<JobMoney>();
        services.TryAddSingleton<ICurrentCallers>(provider => provider.GetRequiredService<CallerSnapshots>());
        services.TryAddSingleton<InMemoryTokenLedger>();
        services.TryAddSingleton<ITokenLedger>(provider => provider.GetRequiredService<InMemoryTokenLedger>());
        services.TryAddSingleton<ILimitReader, LimitReader>();
        services.AddMetrics();
        services.AddSingleton<LimitsMetrics>();
        services.AddSingleton<LimitEndpoints>();
        services.AddSingleton<IGatewayStage, LimitsStage>();
        services.AddHostedService<LimitsSweep>();
        services.AddHostedService<ElasticService>();
        services.AddBudgetLeases();
        services.AddBudgetThresholds();
        services.AddSharedRates();
        return services;
    }

    /// <summary><c>GET /admin/v1/limits</c> and <c>GET /v2/limits</c>.</summary>
    internal static void MapLimits(this IEndpointRouteBuilder endpoints)
    {
        var limits = endpoints.ServiceProvider.GetRequiredService<LimitEndpoints>();
        var policy = new EndpointPolicy(Scopes.AdminRead, ErrorShape.Problem);
        new EndpointRoutes(endpoints, AdminApi.Root, policy).OfOrganizations.Read("/limits", limits.AdminAsync);
        new EndpointRoutes(endpoints, "/v2", policy with { Scope = Scopes.UsageRead }).Read("/limits", limits.OwnAsync);
    }
}

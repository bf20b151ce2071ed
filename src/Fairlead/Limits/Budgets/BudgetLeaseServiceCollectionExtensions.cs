using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Limits.Budgets;

internal static class BudgetLeaseServiceCollectionExtensions
{
    /// <summary>Leases of budgets. Must come before the ledger, so that it stops after it.</summary>
    internal static IServiceCollection AddBudgetLeases(this IServiceCollection services)
    {
        services.AddMetrics();
        services.TryAddSingleton(provider =>
        {
            var configuration = provider.GetRequiredService<IConfigurationSource>();
            return new BudgetLeaseOptions { WriteOffAfter = () => configuration.Current.Limits.WriteOffAfter };
        });
        services.AddSingleton<ISchemaStep, BudgetLeaseSchema>();
        services.AddSingleton<ISchemaStep, ReservedAmountsSchema>();
        services.AddSingleton(provider => BudgetHolder.Of(provider.GetRequiredService<Spool>()));
        services.AddSingleton<LeasedBudgets>();
        services.AddSingleton<ILedgerFollower, BudgetSettlement>();
        services.AddSingleton<BudgetGrants>();
        services.AddSingleton<BudgetReturns>();
        services.AddSingleton<BudgetAsks>();
        services.AddSingleton<BudgetHolders>();
        services.AddSingleton<BudgetHolds>();
        services.AddSingleton<BudgetReports>();
        services.AddSingleton<IReservedAmounts, ReservedAmounts>();
        services.AddSingleton<BudgetLeaseMetrics>();
        services.AddSingleton<IBudgetLeases, BudgetLeases>();
        services.AddHostedService<BudgetLeaseKeeper>();
        return services;
    }
}

using Fairlead.Auditing.Ledger;
using Fairlead.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Limits.Thresholds;

internal static class BudgetThresholdServiceCollectionExtensions
{
    /// <summary>Events for budgets that cross a threshold. Needs the leases of budgets and the webhooks.</summary>
    internal static IServiceCollection AddBudgetThresholds(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, BudgetTotalsSchema>();
        services.AddSingleton<DeclaredBudgets>();
        services.AddSingleton(provider => new WebhookSubscribers(
            provider.GetRequiredService<IStorage>(), WebhookEvents.LimitWarning, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<ILedgerWatcher, BudgetThresholds>();
        return services;
    }
}

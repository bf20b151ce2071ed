using Fairlead.Limits.Budgets;
using Fairlead.Pipeline;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Limits;

internal static class LimitsServiceCollectionExtensions
{
    internal static IServiceCollection AddLimits(this IServiceCollection services)
    {
        services.TryAddSingleton<InMemoryTokenLedger>();
        services.TryAddSingleton<ITokenLedger>(provider => provider.GetRequiredService<InMemoryTokenLedger>());
        services.AddSingleton<IGatewayStage, LimitsStage>();
        services.AddBudgetLeases();
        return services;
    }
}

using Fairlead.Access;
using Fairlead.Pipeline;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Limits;

internal static class LimitsServiceCollectionExtensions
{
    internal static IServiceCollection AddLimits(this IServiceCollection services)
    {
        services.TryAddSingleton<LimitAccounts>();
        services.TryAddSingleton<IBudgetSlices>(provider => provider.GetRequiredService<LimitAccounts>());
        services.TryAddSingleton<IBudgetLeases, ProcessBudgetLeases>();
        services.TryAddSingleton<OutputHistories>();
        services.TryAddSingleton<ICurrentCallers>(provider => provider.GetRequiredService<CallerSnapshots>());
        services.TryAddSingleton<InMemoryTokenLedger>();
        services.TryAddSingleton<ITokenLedger>(provider => provider.GetRequiredService<InMemoryTokenLedger>());
        services.AddSingleton<IGatewayStage, LimitsStage>();
        services.AddHostedService<LimitsSweep>();
        return services;
    }
}

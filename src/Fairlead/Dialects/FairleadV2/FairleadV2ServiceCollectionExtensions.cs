using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.FairleadV2;

internal static class FairleadV2ServiceCollectionExtensions
{
    internal static IServiceCollection AddFairleadV2(this IServiceCollection services)
    {
        services.AddSingleton<FairleadDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<FairleadDialect>());
        services.AddSingleton<EstimateDialect>();
        services.AddSingleton<Dialect>(provider => provider.GetRequiredService<EstimateDialect>());
        return services;
    }
}

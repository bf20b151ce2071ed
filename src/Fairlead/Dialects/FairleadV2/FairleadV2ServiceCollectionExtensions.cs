using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Dialects.FairleadV2;

internal static class FairleadV2ServiceCollectionExtensions
{
    internal static IServiceCollection AddFairleadV2(this IServiceCollection services)
    {
        services.AddSingleton(FairleadDialect.Create());
        services.AddSingleton(EstimateDialect.Create());
        return services;
    }
}

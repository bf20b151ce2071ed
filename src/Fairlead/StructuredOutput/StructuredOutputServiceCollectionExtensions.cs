using Fairlead.Pipeline;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.StructuredOutput;

internal static class StructuredOutputServiceCollectionExtensions
{
    internal static IServiceCollection AddStructuredOutput(this IServiceCollection services)
    {
        services.AddSingleton<IGatewayStage, StructuredOutputStage>();
        return services;
    }
}

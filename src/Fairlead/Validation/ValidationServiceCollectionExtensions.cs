using Fairlead.Pipeline;
using Fairlead.Security;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Validation;

internal static class ValidationServiceCollectionExtensions
{
    internal static IServiceCollection AddRequestValidation(this IServiceCollection services)
    {
        services.TryAddSingleton<IHostResolver, SystemHostResolver>();
        return services.AddSingleton<LargerModels>().AddSingleton<HostCheck>().AddSingleton<IGatewayStage, ValidationStage>();
    }
}

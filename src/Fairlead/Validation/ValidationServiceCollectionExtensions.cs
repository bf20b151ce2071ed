using Fairlead.Pipeline;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Validation;

internal static class ValidationServiceCollectionExtensions
{
    internal static IServiceCollection AddRequestValidation(this IServiceCollection services) =>
        services.AddSingleton<LargerModels>().AddSingleton<IGatewayStage, ValidationStage>();
}

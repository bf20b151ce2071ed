using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

internal static class EndpointServiceCollectionExtensions
{
    /// <summary>The entry point of endpoints that call no model. Needs the callers.</summary>
    internal static IServiceCollection AddEndpoints(this IServiceCollection services) => services.AddSingleton<EndpointInvoker>();
}

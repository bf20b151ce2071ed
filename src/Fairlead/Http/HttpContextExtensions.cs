using Fairlead.Configuration;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

internal static class HttpContextExtensions
{
    /// <summary>The address of this server for links in the response to a request.</summary>
    internal static PublicAddress GetPublicAddress(this HttpContext context) =>
        context.Request.GetPublicAddress(context.RequestServices?.GetService<IConfigurationSource>()?.Current.PublicUrl);

    /// <summary>The same with <c>publicUrl</c> of the configuration.</summary>
    internal static PublicAddress GetPublicAddress(this HttpRequest request, string? configured) =>
        new(configured, request.Scheme, request.Host.Value, request.PathBase.Value);
}

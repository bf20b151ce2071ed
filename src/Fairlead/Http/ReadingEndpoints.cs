using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Http;

internal static class ReadingEndpoints
{
    private static readonly string[] Methods = ["GET", "HEAD"];

    /// <summary>
    /// Maps a read-only address. HEAD returns what GET does, without the body (RFC 9110, 9.1); the web server omits the body itself.
    /// </summary>
    public static IEndpointConventionBuilder MapRead(this IEndpointRouteBuilder endpoints, string pattern, RequestDelegate handler) =>
        endpoints.MapMethods(pattern, Methods, handler);
}

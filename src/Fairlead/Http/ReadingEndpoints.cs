using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Http;

internal static class ReadingEndpoints
{
    private static readonly string[] Methods = ["GET", "HEAD"];

    /// <summary>Maps an address that is read and changes nothing: HEAD answers as GET does, without the body (RFC 9110, 9.1), which the server leaves out by itself.</summary>
    public static IEndpointConventionBuilder MapRead(this IEndpointRouteBuilder endpoints, string pattern, RequestDelegate handler) => endpoints.MapMethods(pattern, Methods, handler);
}

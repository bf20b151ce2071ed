using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>Maps the endpoints of one family under a common path.</summary>
internal sealed class EndpointRoutes(IEndpointRouteBuilder endpoints, string root, EndpointPolicy policy)
{
    private static readonly string[] ReadMethods = ["GET", "HEAD"];

    private readonly EndpointInvoker _invoker = endpoints.ServiceProvider.GetRequiredService<EndpointInvoker>();

    /// <summary>The same routes for handlers that also serve administrators of one organization; see <see cref="EndpointPolicy.ForOrganizations"/>.</summary>
    public EndpointRoutes OfOrganizations => new(endpoints, root, policy with { ForOrganizations = true });

    /// <summary>
    /// GET and HEAD. HEAD returns what GET does, without the body (RFC 9110, 9.1); the web server omits the body itself.
    /// </summary>
    public void Read(string path, EndpointHandler handler) => Map(ReadMethods, path, handler);

    /// <summary>GET only, for a response that is a stream.</summary>
    public void Get(string path, EndpointHandler handler) => Map(["GET"], path, handler);

    public void Post(string path, EndpointHandler handler) => Map(["POST"], path, handler);

    public void Patch(string path, EndpointHandler handler) => Map(["PATCH"], path, handler);

    public void Delete(string path, EndpointHandler handler) => Map(["DELETE"], path, handler);

    // A RequestDelegate, because reflection binding costs start time.
    private void Map(string[] methods, string path, EndpointHandler handler) =>
        endpoints.MapMethods(root + path, methods, context => _invoker.InvokeAsync(context, policy, handler));
}

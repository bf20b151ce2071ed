using Fairlead.Configuration;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>
/// Lets pages from the origins in <c>server.corsOrigins</c> call Fairlead from a browser. Other origins get no headers. Cookies are never
/// allowed: keys are the only credential. Follows a reload. Thread-safe.
/// </summary>
internal sealed class CrossOriginRequests(IConfigurationSource configuration) : IStartupFilter
{
    private const string Methods = "GET, HEAD, POST, PUT, PATCH, DELETE";

    /// <summary>Response headers that scripts may read in addition to the few that browsers always expose.</summary>
    internal const string Exposed =
        "x-request-id, request-id, Retry-After, retry-after-ms, x-should-retry, Location, Allow, Server-Timing, Preference-Applied, "
        + "Idempotent-Replayed, Api-Version, Fairlead-Generation, Fairlead-Model, Fairlead-Provider, Fairlead-Warning, Fairlead-Cache, Age";

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((HttpContext context, RequestDelegate rest) => IsPreflight(context) ? Task.CompletedTask : rest(context));
        next(app);
    };

    /// <summary>
    /// The same for requests under a path that the app chose. Runs after <c>UsePathBase</c>, which hides that path from earlier middleware.
    /// </summary>
    internal void UseUnderPathBase(IApplicationBuilder app) =>
        app.Use((HttpContext context, RequestDelegate rest) => context.Request.PathBase.HasValue && IsPreflight(context)
            ? Task.CompletedTask : rest(context));

    // Whether the request was a preflight, which is served here.
    private bool IsPreflight(HttpContext context)
    {
        var origins = configuration.Current.Server.CorsOrigins;
        if (origins.Count == 0 || !ErrorEdgeMiddleware.IsGatewayPath(context.Request.Path)) return false;
        // Caches must not give the response for one origin to another.
        var any = origins.Contains("*");
        if (!any) context.Response.OnStarting(static state => Vary((HttpResponse)state), context.Response);
        if (context.Request.Headers.Origin is not [{ Length: > 0 } origin]
            || (!any && !origins.Contains(origin, StringComparer.OrdinalIgnoreCase)))
        {
            return false;
        }

        var allowed = any ? "*" : origin;
        var headers = context.Response.Headers;
        if (HttpMethods.IsOptions(context.Request.Method) && context.Request.Headers.AccessControlRequestMethod.Count > 0)
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            headers.AccessControlAllowOrigin = allowed;
            headers.AccessControlAllowMethods = Methods;
            // Every header that the script wants to send: official SDKs have a dozen of their own.
            if (context.Request.Headers.AccessControlRequestHeaders is { Count: > 0 } wanted) headers.AccessControlAllowHeaders = wanted;
            headers.AccessControlMaxAge = "600";
            return true;
        }
        // Set late, because an error clears the headers that were set before.
        context.Response.OnStarting(static state =>
        {
            var (response, origin) = ((HttpResponse, string))state;
            response.Headers.AccessControlAllowOrigin = origin;
            response.Headers.AccessControlExposeHeaders = Exposed;
            return Task.CompletedTask;
        }, (context.Response, allowed));
        return false;
    }

    private static Task Vary(HttpResponse response)
    {
        if (!response.Headers.Vary.Contains("Origin", StringComparer.OrdinalIgnoreCase)) response.Headers.Append("Vary", "Origin");
        return Task.CompletedTask;
    }
}

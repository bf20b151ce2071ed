using Fairlead.Errors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>The endpoint for addresses and methods that nothing else serves: 404, or 405 with the methods of the address.</summary>
internal static class UnknownAddressEndpoint
{
    public static void Map(IEndpointRouteBuilder endpoints)
    {
        foreach (var root in (string[])["/v1", "/v2", "/admin"])
        {
            endpoints.Map($"{root}/{{**rest}}", ServeAsync).WithDisplayName($"Fairlead: unknown address under {root}");
        }
    }

    /// <summary>
    /// For a program that serves only Fairlead: every other address gets an error of the catalogue too. An app that embeds the gateway
    /// keeps its own 404.
    /// </summary>
    public static void MapEverythingElse(IEndpointRouteBuilder endpoints)
    {
        // Last of all, so that it hides no address of the program.
        endpoints.Map("/{**rest}", ServeAsync).WithDisplayName("Fairlead: unknown address")
            .Add(endpoint => ((RouteEndpointBuilder)endpoint).Order = int.MaxValue);
    }

    private static Task ServeAsync(HttpContext context)
    {
        var methods = MethodsOf(context);
        if (methods.Count > 0)
        {
            var allowed = string.Join(", ", methods);
            var error = new GatewayError(ErrorCode.MethodNotAllowed,
                $"{RequestedPath(context)} accepts {allowed}, not {Shorten(context.Request.Method)}.") { Allow = allowed };
            return ErrorResponses.WriteAsync(context, error, ErrorEdgeMiddleware.ShapeOf(context.Request));
        }
        var intended = FindIntended(context);
        // In the format of the interface that was called, else of the one that was intended.
        var shape = intended is null || ErrorEdgeMiddleware.IsGatewayPath(context.Request.Path)
            ? ErrorEdgeMiddleware.ShapeOf(context.Request)
            : ErrorEdgeMiddleware.ShapeOf(intended, context.Request.Headers);
        return ErrorResponses.WriteAsync(context, NotFound(context, intended), shape);
    }

    /// <summary>Serves an address that nothing else matched, if it is one of Fairlead's with a wrong prefix. False if it is not.</summary>
    public static async ValueTask<bool> TryServeMistypedAsync(HttpContext context, TimeProvider time)
    {
        if (FindIntended(context) is not { } intended) return false;
        RequestIds.Of(context, time);
        var shape = ErrorEdgeMiddleware.ShapeOf(intended, context.Request.Headers);
        await ErrorResponses.WriteAsync(context, NotFound(context, intended), shape);
        return true;
    }

    private static string? FindIntended(HttpContext context) =>
        AddressHint.Find(context.RequestServices.GetRequiredService<EndpointDataSource>().Endpoints, context.Request.Path.Value);

    private static GatewayError NotFound(HttpContext context, string? intended)
    {
        var error = new GatewayError(ErrorCode.NotFound,
            $"There is nothing at {Shorten(context.Request.Method)} {RequestedPath(context)}.");
        if (intended is null) return error;
        // SDKs append the rest of the path to their base address, Anthropic's also the version.
        var site = context.GetPublicAddress();
        var right = site.Reference(intended);
        var sdk = intended.StartsWith("/v1/messages", StringComparison.Ordinal) ? site.Link("")
            : intended.StartsWith("/v1/", StringComparison.Ordinal) ? site.Link("/v1") : null;
        return error with
        {
            Message = $"{error.Message} Did you mean {right}?",
            Remedy = sdk is null ? $"Send the request to {right}."
                : $"Send the request to {right}; an SDK needs {sdk} as its base address.",
        };
    }

    private static List<string> MethodsOf(HttpContext context)
    {
        var methods = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var endpoint in context.RequestServices.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            if (endpoint.RoutePattern.RawText is not { } pattern || endpoint.Metadata.GetMetadata<HttpMethodMetadata>() is not { } metadata)
                continue;
            var matcher = new TemplateMatcher(TemplateParser.Parse(pattern.TrimStart('/')), []);
            if (matcher.TryMatch(context.Request.Path, [])) methods.UnionWith(metadata.HttpMethods);
        }
        return [.. methods];
    }

    // As the client wrote it: the path base of the program is part of it.
    private static string RequestedPath(HttpContext context) => Shorten(context.Request.PathBase.Value + context.Request.Path.Value);

    // The client chose both, and they may be as long as the server allows a request line.
    private static string Shorten(string? text) => text is { Length: > 200 } ? string.Concat(text.AsSpan(0, 200), "…") : text ?? "";
}

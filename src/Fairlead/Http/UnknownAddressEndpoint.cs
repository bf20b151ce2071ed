using Fairlead.Errors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>Answers addresses and methods that nothing else does: 404, or 405 with the methods that the address takes.</summary>
internal static class UnknownAddressEndpoint
{
    public static void Map(IEndpointRouteBuilder endpoints)
    {
        foreach (var root in (string[])["/v1", "/v2", "/admin"])
        {
            endpoints.Map($"{root}/{{**rest}}", AnswerAsync).WithDisplayName($"Fairlead: unknown address under {root}");
        }
    }

    /// <summary>For a program that serves nothing but Fairlead: every other address gets an error of the list too. An app that embeds the gateway keeps its own 404.</summary>
    public static void MapEverythingElse(IEndpointRouteBuilder endpoints)
    {
        // Last of all, so that it hides no address of the program's own.
        endpoints.Map("/{**rest}", AnswerAsync).WithDisplayName("Fairlead: unknown address").Add(endpoint => ((RouteEndpointBuilder)endpoint).Order = int.MaxValue);
    }

    private static Task AnswerAsync(HttpContext context)
    {
        var methods = MethodsOf(context);
        if (methods.Count > 0)
        {
            var error = new GatewayError(ErrorCode.MethodNotAllowed, $"{Written(context)} takes {string.Join(", ", methods)}, not {Shorten(context.Request.Method)}.") { Allow = string.Join(", ", methods) };
            return ErrorResponses.WriteAsync(context, error, ErrorEdgeMiddleware.ShapeOf(context.Request));
        }
        var meant = Meant(context);
        // In the shape of the interface that was called, else of the one that was meant.
        var shape = meant is null || ErrorEdgeMiddleware.IsOurs(context.Request.Path) ? ErrorEdgeMiddleware.ShapeOf(context.Request) : ErrorEdgeMiddleware.ShapeOf(meant, context.Request.Headers);
        return ErrorResponses.WriteAsync(context, NotFound(context, meant), shape);
    }

    /// <summary>Answers an address outside of Fairlead's own that nothing else took, where it is one of Fairlead's under a wrong beginning. False when it is not.</summary>
    public static async ValueTask<bool> TryAnswerMistakenAsync(HttpContext context, TimeProvider time)
    {
        if (Meant(context) is not { } meant) return false;
        RequestIds.Of(context, time);
        await ErrorResponses.WriteAsync(context, NotFound(context, meant), ErrorEdgeMiddleware.ShapeOf(meant, context.Request.Headers));
        return true;
    }

    private static string? Meant(HttpContext context) => AddressHint.Find(context.RequestServices.GetRequiredService<EndpointDataSource>().Endpoints, context.Request.Path.Value);

    private static GatewayError NotFound(HttpContext context, string? meant)
    {
        var error = new GatewayError(ErrorCode.NotFound, $"There is nothing at {Shorten(context.Request.Method)} {Written(context)}.");
        if (meant is null) return error;
        // SDKs put the rest of the path behind the address they are given, Anthropic's the version too.
        var site = PublicAddress.Of(context);
        var right = site.Reference(meant);
        var sdk = meant.StartsWith("/v1/messages", StringComparison.Ordinal) ? site.Link("") : meant.StartsWith("/v1/", StringComparison.Ordinal) ? site.Link("/v1") : null;
        return error with
        {
            Message = $"{error.Message} Did you mean {right}?",
            Remedy = sdk is null ? $"Send the request to {right}." : $"Send the request to {right}; an SDK takes {sdk} as its base address.",
        };
    }

    private static List<string> MethodsOf(HttpContext context)
    {
        var methods = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var endpoint in context.RequestServices.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            if (endpoint.RoutePattern.RawText is not { } pattern || endpoint.Metadata.GetMetadata<HttpMethodMetadata>() is not { } metadata) continue;
            var matcher = new TemplateMatcher(TemplateParser.Parse(pattern.TrimStart('/')), []);
            if (matcher.TryMatch(context.Request.Path, [])) methods.UnionWith(metadata.HttpMethods);
        }
        return [.. methods];
    }

    // As the client wrote it: a path that the program puts everything under belongs to it.
    private static string Written(HttpContext context) => Shorten(context.Request.PathBase.Value + context.Request.Path.Value);

    // Both are the client's own and may be as long as the server lets a request line be.
    private static string Shorten(string? text) => text is { Length: > 200 } ? string.Concat(text.AsSpan(0, 200), "…") : text ?? "";
}

using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Documentation;

/// <summary>The guides, the OpenAPI documents and the schema of the configuration, for programs that serve them.</summary>
internal static class DocumentationEndpoints
{
    // Nothing is loaded from other hosts; the API reference uses inline styles.
    private const string Policy =
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
        + "form-action 'none'";

    private static readonly Dictionary<string, string> Types = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["docs.css"] = "text/css; charset=utf-8",
        ["docs.js"] = "text/javascript; charset=utf-8",
        ["mark.svg"] = "image/svg+xml",
    };

    internal static IServiceCollection AddDocumentation(this IServiceCollection services)
    {
        services.TryAddSingleton<DocumentationPages>();
        services.TryAddSingleton<OpenApiDocument>();
        return services;
    }

    /// <summary>The guides, at <c>/docs</c>, and the schema of the configuration that they link to.</summary>
    internal static void MapGuides(this IEndpointRouteBuilder endpoints)
    {
        var schema = new Lazy<string>(() => ConfigurationSchema.Text(endpoints.ServiceProvider.GetRequiredService<ConfigKeys>()));
        // RequestDelegates throughout: reflection binding costs start time.
        Get(endpoints, "/docs", context => WritePageAsync(context, "README"));
        Get(endpoints, "/docs/assets/{name}", WriteAssetAsync);
        Get(endpoints, "/docs/plots/{name}", WritePlotAsync);
        Get(endpoints, "/docs/{**page}", context => WritePageAsync(context, (string?)context.Request.RouteValues["page"] ?? "README"));
        Get(endpoints, "/schemas/fairlead.schema.json", context => WriteAsync(context, "application/schema+json", schema.Value));
    }

    /// <summary>The OpenAPI documents, at <c>/openapi/v1.json</c> and <c>/openapi/v2.json</c>.</summary>
    internal static void MapOpenApi(this IEndpointRouteBuilder endpoints)
    {
        foreach (var name in OpenApiDocument.Names)
        {
            Get(endpoints, $"/openapi/{name}.json", context =>
            {
                var document = context.RequestServices.GetRequiredService<OpenApiDocument>();
                return WriteAsync(context, "application/json", document.JsonOf(name, context.GetPublicAddress().Link("")));
            });
        }
    }

    private static void Get(IEndpointRouteBuilder endpoints, string pattern, RequestDelegate handler) =>
        endpoints.MapMethods(pattern, ["GET", "HEAD"], handler);

    private static Task WritePageAsync(HttpContext context, string name)
    {
        var pages = context.RequestServices.GetRequiredService<DocumentationPages>();
        context.Response.Headers.ContentSecurityPolicy = Policy;
        context.Response.Headers.XContentTypeOptions = "nosniff";
        if (pages.Find(name.TrimEnd('/')) is { } page)
        {
            return WriteAsync(context, "text/html; charset=utf-8", page.At(context.GetPublicAddress().Link("")));
        }
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return WriteAsync(context, "text/html; charset=utf-8", pages.NotFound(context.Request.Path.Value ?? ""));
    }

    private static async Task WriteAssetAsync(HttpContext context)
    {
        var name = (string)context.Request.RouteValues["name"]!;
        await WriteResourceAsync(context, Types.TryGetValue(name, out var type) ? $"assets/{name}" : null, type);
    }

    private static Task WritePlotAsync(HttpContext context) =>
        WriteResourceAsync(context, $"plots/{context.Request.RouteValues["name"]}", "image/svg+xml");

    private static async Task WriteResourceAsync(HttpContext context, string? name, string? type)
    {
        await using var stream = name is null ? null : typeof(DocumentationEndpoints).Assembly.GetManifestResourceStream(name);
        if (stream is null)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        context.Response.ContentType = type;
        context.Response.ContentLength = stream.Length;
        context.Response.Headers.CacheControl = "public, max-age=300";
        context.Response.Headers.XContentTypeOptions = "nosniff";
        if (!HttpMethods.IsHead(context.Request.Method)) await stream.CopyToAsync(context.Response.Body, context.RequestAborted);
    }

    private static async Task WriteAsync(HttpContext context, string type, string text)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(text);
        context.Response.ContentType = type;
        context.Response.ContentLength = bytes.Length;
        context.Response.Headers.CacheControl = "no-cache";
        if (!HttpMethods.IsHead(context.Request.Method)) await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }
}

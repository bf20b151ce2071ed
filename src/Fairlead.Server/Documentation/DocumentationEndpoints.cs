using Fairlead.Configuration;
using Fairlead.Errors;
using Scalar.AspNetCore;

namespace Fairlead.Server.Documentation;

internal static class DocumentationEndpoints
{
    // Nothing is loaded from elsewhere; the reference styles its elements inline.
    private const string Policy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

    private static readonly Dictionary<string, string> Types = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["docs.css"] = "text/css; charset=utf-8",
        ["docs.js"] = "text/javascript; charset=utf-8",
        ["mark.svg"] = "image/svg+xml",
    };

    // The reference runs its own script and styles, and calls this server only.
    private const string ReferencePolicy = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

    /// <summary>Keeps the reference from loading or calling anything outside of this server.</summary>
    internal static void UseDocumentationPolicy(this IApplicationBuilder app) => app.Use((HttpContext context, RequestDelegate next) =>
    {
        if (context.Request.Path.StartsWithSegments("/reference", StringComparison.Ordinal)) context.Response.Headers.ContentSecurityPolicy = ReferencePolicy;
        return next(context);
    });

    internal static IServiceCollection AddDocumentation(this IServiceCollection services)
    {
        services.AddSingleton<DocumentationPages>();
        services.AddSingleton<OpenApiDocument>();
        return services;
    }

    /// <summary>Guides, the OpenAPI documents, their reference and the schema of the configuration.</summary>
    internal static void MapDocumentation(this IEndpointRouteBuilder endpoints)
    {
        // RequestDelegates throughout: reflection binding costs start time.
        Get("/", context =>
        {
            context.Response.Redirect("/docs");
            return Task.CompletedTask;
        });
        Get("/docs", context => WritePageAsync(context, "README"));
        Get("/docs/assets/{name}", WriteAssetAsync);
        Get("/docs/{**page}", context => WritePageAsync(context, (string?)context.Request.RouteValues["page"] ?? "README"));
        foreach (var name in OpenApiDocument.Names) Get($"/openapi/{name}.json", context => WriteAsync(context, "application/json", context.RequestServices.GetRequiredService<OpenApiDocument>().JsonOf(name, PublicAddress.Of(context).Link(""))));
        Get("/schemas/fairlead.schema.json", context => WriteAsync(context, "application/schema+json", SchemaText.Value));
        endpoints.MapScalarApiReference("/reference", options =>
        {
            options.Title = "Fairlead API";
            options.OpenApiRoutePattern = "/openapi/{documentName}.json";
            options.AddDocument("v1", "OpenAI and Anthropic");
            options.AddDocument("v2", "Fairlead's own");
            options.DefaultFonts = false;
            options.Telemetry = false;
            options.DotNetFlag = false;
            // Whatever would speak to somebody else's service stays out.
            options.ShowDeveloperTools = DeveloperToolsVisibility.Never;
            options.Agent = new ScalarAgentOptions { Disabled = true };
            options.HideClientButton = true;
            options.HideModels = true;
            // The examples are our own, in four languages; snippets made up for twenty more would show requests that nobody has tried.
            options.HiddenClients = true;
            options.Favicon = "/docs/assets/mark.svg";
        });

        void Get(string pattern, RequestDelegate handler) => endpoints.MapMethods(pattern, ["GET", "HEAD"], handler);
    }

    private static readonly Lazy<string> SchemaText = new(ConfigurationSchema.Text);

    private static Task WritePageAsync(HttpContext context, string name)
    {
        var pages = context.RequestServices.GetRequiredService<DocumentationPages>();
        context.Response.Headers.ContentSecurityPolicy = Policy;
        context.Response.Headers.XContentTypeOptions = "nosniff";
        if (pages.Find(name.TrimEnd('/')) is { } page) return WriteAsync(context, "text/html; charset=utf-8", page.At(PublicAddress.Of(context).Link("")));
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return WriteAsync(context, "text/html; charset=utf-8", pages.NotFound(context.Request.Path.Value ?? ""));
    }

    private static async Task WriteAssetAsync(HttpContext context)
    {
        var name = (string)context.Request.RouteValues["name"]!;
        if (!Types.TryGetValue(name, out var type))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        await using var stream = typeof(DocumentationEndpoints).Assembly.GetManifestResourceStream($"assets/{name}")!;
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

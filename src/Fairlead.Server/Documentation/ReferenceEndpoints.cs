using Fairlead.Errors;
using Scalar.AspNetCore;

namespace Fairlead.Server.Documentation;

internal static class ReferenceEndpoints
{
    // The reference runs its own script and styles, and calls this server only.
    private const string ReferencePolicy = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

    /// <summary>Keeps the reference from loading or calling anything outside of this server.</summary>
    internal static void UseDocumentationPolicy(this IApplicationBuilder app) => app.Use((HttpContext context, RequestDelegate next) =>
    {
        if (context.Request.Path.StartsWithSegments("/reference", StringComparison.Ordinal)) context.Response.Headers.ContentSecurityPolicy = ReferencePolicy;
        return next(context);
    });

    /// <summary>Guides, the OpenAPI documents, their reference and the schema of the configuration.</summary>
    internal static void MapDocumentation(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapMethods("/", ["GET", "HEAD"], context =>
        {
            context.Response.Redirect("/docs");
            return Task.CompletedTask;
        });
        endpoints.MapGuides();
        endpoints.MapOpenApi();
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
    }
}

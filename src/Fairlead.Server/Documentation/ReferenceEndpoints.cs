using Fairlead.Errors;
using Scalar.AspNetCore;

namespace Fairlead.Server.Documentation;

internal static class ReferenceEndpoints
{
    // The API reference runs its own script and styles, and calls only this server.
    private const string ReferencePolicy =
        "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        + "form-action 'self'";

    /// <summary>Prevents the API reference from loading or calling anything outside of this server.</summary>
    internal static void UseDocumentationPolicy(this IApplicationBuilder app) => app.Use((HttpContext context, RequestDelegate next) =>
    {
        if (context.Request.Path.StartsWithSegments("/reference", StringComparison.Ordinal))
            context.Response.Headers.ContentSecurityPolicy = ReferencePolicy;
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
            options.AddDocument("v1", "OpenAI and Anthropic API (v1)");
            options.AddDocument("v2", "Fairlead API (v2)");
            options.DefaultFonts = false;
            options.Telemetry = false;
            options.DotNetFlag = false;
            // Features that contact other services are disabled.
            options.ShowDeveloperTools = DeveloperToolsVisibility.Never;
            options.Agent = new ScalarAgentOptions { Disabled = true };
            options.HideClientButton = true;
            options.HideModels = true;
            // The examples are hand-written in four languages; generated snippets for twenty more would show untested requests.
            options.HiddenClients = true;
            options.Favicon = "/docs/assets/mark.svg";
        });
    }
}

using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Fairlead.Errors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Http;

/// <summary>
/// The closed list of errors as a plain page, at the address that <c>doc_url</c> names. Any other endpoint of the program at this address,
/// such as the server's guides, has precedence.
/// </summary>
internal static partial class ErrorListEndpoint
{
    internal const string Address = "/docs/errors";

    // The page loads nothing and runs no script; its style is inline.
    private const string Policy =
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

    private static readonly Lazy<byte[]> Page = new(() => Encoding.UTF8.GetBytes(Write()));

    public static void Map(IEndpointRouteBuilder endpoints) =>
        // Before an application's fallback (the last of all), after everything that it maps by name.
        endpoints.MapMethods(Address, ["GET", "HEAD"], (RequestDelegate)ServeAsync).WithDisplayName("Fairlead: list of errors")
            .WithOrder(int.MaxValue - 1);

    private static async Task ServeAsync(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers.CacheControl = "no-cache";
        context.Response.ContentType = "text/html; charset=utf-8";
        context.Response.ContentLength = Page.Value.Length;
        if (!HttpMethods.IsHead(context.Request.Method)) await context.Response.Body.WriteAsync(Page.Value, context.RequestAborted);
    }

    private static string Write()
    {
        var page = new StringBuilder("""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>Errors</title>
            <style>
            body { font: 1rem/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word }
            section { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .25rem 0 }
            section:target { background: color-mix(in srgb, Highlight 15%, transparent) }
            h2 { font: 600 1.05rem ui-monospace, monospace; margin: .75rem 0 .25rem }
            p { margin: .35rem 0 }
            small { opacity: .75; font-size: .875rem }
            </style>
            </head>
            <body>
            <main>
            <h1>Errors</h1>
            <p>Every error of this API has one code of this list. <code>retryable</code> in the error says whether the same request may
            succeed later, and <code>retry_after_ms</code> when, where that is known.</p>

            """);
        foreach (var error in ErrorCatalogue.All)
        {
            page.Append("<section id=\"").Append(error.Name).Append("\">\n<h2>").Append(error.Name).Append("</h2>\n<p><strong>")
                .Append(WebUtility.HtmlEncode(error.Title)).Append(".</strong> ");
            page.Append(InlineCode().Replace(WebUtility.HtmlEncode(error.Remedy), "<code>$1</code>")).Append("</p>\n<p><small>Status ")
                .Append(error.Status);
            if (error.AnthropicStatus != error.Status) page.Append(" (").Append(error.AnthropicStatus).Append(" on /v1/messages)");
            page.Append(" · ").Append(error.Retryable ? "may be retried" : "do not retry").Append("</small></p>\n</section>\n");
        }
        return page.Append("</main>\n</body>\n</html>\n").ToString().ReplaceLineEndings("\n");
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex InlineCode();
}

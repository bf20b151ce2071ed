using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Telemetry;

/// <summary>
/// Probes for Kubernetes, without a key and never cached: <c>/livez</c> reports that the process responds and checks nothing else,
/// <c>/readyz</c> whether it should get traffic. <c>?verbose</c> lists the checks: <c>[+]</c> for what works, <c>[~]</c> for what works in
/// part, <c>[-]</c> for what does not.
/// </summary>
internal static class HealthEndpoints
{
    internal static void MapHealth(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapMethods("/livez", ["GET", "HEAD"], (RequestDelegate)(context => WriteAsync(context, StatusCodes.Status200OK, "ok\n")))
            .WithDisplayName("Fairlead: liveness");
        endpoints.MapMethods("/readyz", ["GET", "HEAD"], (RequestDelegate)ReadyAsync).WithDisplayName("Fairlead: readiness");
    }

    private static async Task ReadyAsync(HttpContext context)
    {
        var ready = true;
        var report = new StringBuilder();
        foreach (var check in context.RequestServices.GetServices<IReadinessCheck>())
        {
            if (!check.IsUsed) continue;
            var fault = await check.CheckAsync(context.RequestAborted);
            var degraded = fault is null ? check.Degraded : null;
            ready &= fault is null;
            report.Append(fault is not null ? "[-] " : degraded is not null ? "[~] " : "[+] ").Append(check.Name).Append(": ")
                .Append(fault ?? degraded ?? "ok").Append('\n');
        }
        var verdict = ready ? "ok\n" : "not ready\n";
        var text = context.Request.Query.ContainsKey("verbose") ? report.Append(verdict).ToString() : verdict;
        await WriteAsync(context, ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, text);
    }

    private static async Task WriteAsync(HttpContext context, int status, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.ContentLength = bytes.Length;
        context.Response.Headers.CacheControl = "no-store";
        if (!HttpMethods.IsHead(context.Request.Method)) await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }
}

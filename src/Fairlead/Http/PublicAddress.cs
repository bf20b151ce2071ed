using Fairlead.Configuration;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>
/// Where this server is reached by whoever made a request, for links in answers: <c>publicUrl</c> of the configuration, else the request's own
/// scheme and host. The empty value leaves links as paths. Text is made only when a link is.
/// </summary>
internal readonly record struct PublicAddress(string? Configured, string? Scheme, string? Host, string? PathBase)
{
    public static PublicAddress Of(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return Of(context.Request, context.RequestServices?.GetService<IConfigurationSource>()?.Current.PublicUrl);
    }

    internal static PublicAddress Of(HttpRequest request, string? configured) => new(configured, request.Scheme, request.Host.Value, request.PathBase.Value);

    /// <summary>
    /// A reference to <paramref name="path"/>, which begins with a slash, for the header <c>Location</c>: it leads to this server for whoever asked, behind a proxy or under a
    /// path of the program's choosing, too.
    /// </summary>
    public string Reference(string path) => (Configured ?? PathBase) + path;

    /// <summary>The whole address of <paramref name="path"/>, which begins with a slash; the path itself when the server's is not known.</summary>
    public string Link(string path)
    {
        if (Configured is not null) return Configured + path;
        // A request of HTTP/1.0 need not name a host.
        return string.IsNullOrEmpty(Host) ? PathBase + path : $"{Scheme}://{Host}{PathBase}{path}";
    }
}
